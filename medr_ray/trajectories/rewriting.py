"""A chat model words the thoughts of accepted dialogues anew; what the agent did stays as it was,
byte for byte.

What holds: a thought is replaced by its place in the message, never by searching for its text; a
new wording counts only when the message then has the same calls or the same answer, says nothing
that only guidance says, adds no number, does not give the answer away before it was found, and is
in the question's language. Every other thought keeps its own words, and why is kept. A dialogue is
one request; finished ones lie in parts, so that a stage that was ended goes on. An endpoint that
cannot be reached ends the stage (InfrastructureError).
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from string import Template

from pydantic import BaseModel

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ModelError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Task, Trajectory, to_table
from medr_ray.core.run import Directory
from medr_ray.llm.failures import ContextLengthExceeded
from medr_ray.llm.roles import JsonClient
from medr_ray.questions.answer_matching import occurs_in
from medr_ray.trajectories.filtering import leak_in

REWRITTEN = "rewritten"
FOLDER = "rewrites"
_PART = 32  # dialogues
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.S)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_HAN = re.compile(r"[\u3400-\u9fff]")
_SHOWN = 1500  # characters of a tool response that the model is shown
_LONGER, _LONG = 3, 600  # a thought may grow to three times its length, or 600 characters


class Thoughts(BaseModel):
    """What the model is to reply."""

    thoughts: list[str]


@dataclass(frozen=True)
class Rewrite:
    """What became of one thought: in message number ``message`` of a trajectory, ``original`` is
    now ``text``. ``outcome`` is "rewritten", or why the original was kept."""

    trajectory_id: str
    message: int
    outcome: str
    original: str
    text: str


def rewrite_all(
    dialogues: Sequence[tuple[Trajectory, Task]],
    client: JsonClient,
    endpoint: EndpointConfig,
    directory: Directory,
    bar: Bar,
) -> list[Rewrite]:
    """What becomes of every thought of the dialogues, in their order; as many requests at once as
    the endpoint's ``concurrency``. Raises what the client raises, but for ModelError."""
    parts = Parts(directory, FOLDER)
    named = {
        f"part-{start // _PART:05d}": dialogues[start : start + _PART]
        for start in range(0, len(dialogues), _PART)
    }
    batch_parts = {
        name: digest(endpoint.identity(), [prompt(*pair) for pair in batch])
        for name, batch in named.items()
    }
    stale = parts.discard_stale(batch_parts)
    bar.resume(len(dialogues) - sum(len(named[name]) for name in stale))
    for name in stale:
        rewrites = asyncio.run(_rewrite_batch(named[name], client, endpoint.concurrency, bar))
        parts.write(name, batch_parts[name], to_table(Rewrite, rewrites))
    return [
        record
        for name in named
        for record in directory.read_records(f"{FOLDER}/{name}.parquet", Rewrite)
    ]


async def _rewrite_batch(
    batch: Sequence[tuple[Trajectory, Task]],
    client: JsonClient,
    concurrency: int,
    bar: Bar,
) -> list[Rewrite]:
    door = asyncio.Semaphore(concurrency)

    async def one(trajectory: Trajectory, task: Task) -> list[Rewrite]:
        async with door:
            rewrites = await rewrite(trajectory, task, client)
        bar.advance()
        return rewrites

    return [
        each
        for rewrites in await asyncio.gather(*(one(*pair) for pair in batch))
        for each in rewrites
    ]


async def rewrite(trajectory: Trajectory, task: Task, client: JsonClient) -> list[Rewrite]:
    """What becomes of every thought of one dialogue."""
    spans = thought_spans(trajectory)
    try:
        reply = await client.complete_json(
            [{"role": "user", "content": prompt(trajectory, task)}], Thoughts
        )
        texts = [" ".join(text.split()) for text in reply.thoughts]
        problem = "" if len(texts) == len(spans) else "another number of texts than of thoughts"
    except ContextLengthExceeded:
        texts, problem = [], "the dialogue is too long for the model"
    except ModelError:
        texts, problem = [], "the reply cannot be read"
    if problem:
        return [_kept(trajectory, number, old, problem) for number, old, _ in spans]
    return [
        _decided(trajectory, task, number, old, new)
        for (number, old, _), new in zip(spans, texts, strict=True)
    ]


def _decided(trajectory: Trajectory, task: Task, number: int, old: str, new: str) -> Rewrite:
    problem = next(_problems(trajectory, task, number, old, new), "")
    if problem:
        return _kept(trajectory, number, old, problem)
    return Rewrite(trajectory.trajectory_id, number, REWRITTEN, old, new)


def _kept(trajectory: Trajectory, number: int, old: str, problem: str) -> Rewrite:
    return Rewrite(trajectory.trajectory_id, number, f"kept: {problem}", old, old)


def applied(trajectory: Trajectory, rewrites: Sequence[Rewrite]) -> Trajectory:
    """The dialogue with its new thoughts; token ids no longer fit and are dropped. It keeps its id:
    its actions are those of that run."""
    messages = list(trajectory.messages)
    for rewrite in rewrites:
        if rewrite.outcome == REWRITTEN:
            messages[rewrite.message] = replace(
                messages[rewrite.message],
                content=with_thought(messages[rewrite.message].content, rewrite.text),
            )
    changed = tuple(messages) != trajectory.messages
    return replace(trajectory, messages=tuple(messages), turns=()) if changed else trajectory


def thought_spans(trajectory: Trajectory) -> list[tuple[int, str, tuple[int, int]]]:
    """(number of the message, its thought, where it stands in the message) of each reply whose
    thought is closed."""
    numbers = [
        (number, _THOUGHT.search(message.content))
        for number, message in enumerate(trajectory.messages)
        if message.role == "assistant"
    ]
    return [(number, read.group(1), read.span(1)) for number, read in numbers if read]


def with_thought(content: str, text: str) -> str:
    """A message with another thought at the place of its own; all else as it is."""
    read = _THOUGHT.search(content)
    return content if read is None else content[: read.start(1)] + text + content[read.end(1) :]


def prompt(trajectory: Trajectory, task: Task) -> str:
    """What the model is shown: the dialogue with its thoughts numbered. No guidance is part of
    it."""
    template = Template(read_prompt("medr_ray.trajectories", "rewrite", task.language))
    return template.substitute(dialogue="\n".join(_shown(trajectory)))


def _shown(trajectory: Trajectory) -> Iterator[str]:
    place = 0
    for number, message in enumerate(trajectory.messages[1:], 1):
        if message.role != "assistant":
            cut = message.content if number == 1 else message.content[:_SHOWN]
            yield f"{'Question' if number == 1 else 'Tools returned'}: {cut}"
        elif read := _THOUGHT.search(message.content):
            place += 1
            yield (
                f"Thought {place}: {read.group(1)}\nAction: {message.content[read.end() :].strip()}"
            )
        else:
            yield f"Action: {message.content}"


# --- what a new wording may not do ----------------------------------------------------


def _problems(trajectory: Trajectory, task: Task, number: int, old: str, new: str) -> Iterator[str]:
    """Why a new wording of the thought in message ``number`` does not count."""
    content = trajectory.messages[number].content
    before = "\n".join(message.content for message in trajectory.messages[1:number])
    if not new:
        yield "the text is empty"
    if len(new) > max(_LONGER * len(old), _LONG):
        yield "the text is too long"
    if not _same_actions(content, with_thought(content, new), new):
        yield "the text changes the action"
    if leak_in(new):
        yield "the text says what only guidance says"
    if not set(_NUMBER.findall(new)) <= set(_NUMBER.findall(f"{before}\n{content}")):
        yield "the text adds a number"
    if (
        trajectory.answer
        and occurs_in(trajectory.answer, new)
        and not occurs_in(trajectory.answer, f"{before}\n{old}")
    ):
        yield "the text gives the answer away"
    if (_HAN.search(new) is not None) != (task.language == "zh"):
        yield "the text is in another language"


def _same_actions(content: str, changed: str, new: str) -> bool:
    """Whether a reply reads as before but for its thought."""
    original, other = parse_reply(content), parse_reply(changed)
    return other.thought == new and (original.calls, original.problems, original.answer) == (
        other.calls,
        other.problems,
        other.answer,
    )
