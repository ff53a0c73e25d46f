"""A chat model rewrites the thoughts of accepted dialogues; the agent's actions stay byte for byte.

A thought is replaced at its place in the message, never by a search for its text. A new text is
used only when the message then has the same calls or the same answer, and nothing speaks against it
(``rewrite_checks``): it has no fact that no observation has, and does not change what was confirmed
or failed. Otherwise the thought keeps its original text, and the reason is recorded.

Each dialogue is one request. Finished dialogues are saved in parts, so that an interrupted stage
continues where it stopped. An endpoint that cannot be reached ends the stage (InfrastructureError).
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from string import Template

from pydantic import BaseModel

from medr_ray.agent.state import build_state
from medr_ray.agent.transcript import read_turns
from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ModelError
from medr_ray.core.parts import Parts, digest
from medr_ray.core.progress import Bar
from medr_ray.core.prompts import build_fence, read_prompt
from medr_ray.core.records import Task, Trajectory, to_table
from medr_ray.core.run import Directory
from medr_ray.llm.failures import ContextLengthExceeded
from medr_ray.llm.roles import JsonClient
from medr_ray.trajectories.rewrite_checks import find_rewrite_problems

REWRITTEN = "rewritten"  # the outcome of a thought with a new text
REWRITES_FOLDER = "rewrites"
_DIALOGUES_PER_PART = 32
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.S)
_MAX_RESPONSE_CHARS = 1500  # of a tool response in the prompt


class Thoughts(BaseModel):
    """The reply that the model is asked for."""

    thoughts: list[str]


@dataclass(frozen=True)
class Rewrite:
    """What became of the thought in message number ``message`` of a trajectory.

    ``original`` was replaced by ``text``. ``outcome`` is "rewritten", or says why the original was
    kept; ``text`` is then the original.
    """

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
    """The rewrites of all thoughts, in the order of the dialogues.

    Sends as many requests at once as the endpoint's ``concurrency``. Raises the client's errors,
    except ModelError.
    """
    parts = Parts(directory, REWRITES_FOLDER)
    batches = {
        f"part-{start // _DIALOGUES_PER_PART:05d}": dialogues[start : start + _DIALOGUES_PER_PART]
        for start in range(0, len(dialogues), _DIALOGUES_PER_PART)
    }
    # A part is stale when the endpoint or one of its prompts has changed.
    digests = {}
    for name, batch in batches.items():
        prompts = [build_prompt(trajectory, task) for trajectory, task in batch]
        digests[name] = digest(endpoint.identity(), prompts)
    stale = parts.discard_stale(digests)
    bar.resume(len(dialogues) - sum(len(batches[name]) for name in stale))
    for name in stale:
        rewrites = asyncio.run(_rewrite_batch(batches[name], client, endpoint.concurrency, bar))
        parts.write(name, digests[name], to_table(Rewrite, rewrites))
    return [
        rewrite
        for name in batches
        for rewrite in directory.read_records(f"{REWRITES_FOLDER}/{name}.parquet", Rewrite)
    ]


async def _rewrite_batch(
    batch: Sequence[tuple[Trajectory, Task]],
    client: JsonClient,
    concurrency: int,
    bar: Bar,
) -> list[Rewrite]:
    semaphore = asyncio.Semaphore(concurrency)

    async def rewrite_dialogue(trajectory: Trajectory, task: Task) -> list[Rewrite]:
        async with semaphore:
            rewrites = await rewrite_thoughts(trajectory, task, client)
        bar.advance()
        return rewrites

    results = await asyncio.gather(
        *(rewrite_dialogue(trajectory, task) for trajectory, task in batch)
    )
    return [rewrite for rewrites in results for rewrite in rewrites]


async def rewrite_thoughts(trajectory: Trajectory, task: Task, client: JsonClient) -> list[Rewrite]:
    """The rewrites of all thoughts of one dialogue, from one request."""
    thoughts = find_thoughts(trajectory)
    prompt = build_prompt(trajectory, task)
    texts: list[str] = []
    problem = ""
    try:
        reply = await client.complete_json([{"role": "user", "content": prompt}], Thoughts)
        texts = [" ".join(text.split()) for text in reply.thoughts]
        if len(texts) != len(thoughts):
            problem = "another number of texts than of thoughts"
    # A ContextLengthExceeded is a ModelError, too, so it comes first.
    except ContextLengthExceeded:
        problem = "the dialogue is too long for the model"
    except ModelError:
        problem = "the reply cannot be read"
    if problem:
        return [
            _keep_original(trajectory, number, original, problem) for number, original in thoughts
        ]
    return [
        _accept_or_keep(trajectory, task, number, original, text)
        for (number, original), text in zip(thoughts, texts, strict=True)
    ]


def _accept_or_keep(
    trajectory: Trajectory, task: Task, number: int, original: str, text: str
) -> Rewrite:
    changed_content = replace_thought(trajectory.messages[number].content, text)
    problems = find_rewrite_problems(trajectory, task, number, original, text, changed_content)
    problem = next(problems, "")
    if problem:
        return _keep_original(trajectory, number, original, problem)
    return Rewrite(trajectory.trajectory_id, number, REWRITTEN, original, text)


def _keep_original(trajectory: Trajectory, number: int, original: str, problem: str) -> Rewrite:
    return Rewrite(trajectory.trajectory_id, number, f"kept: {problem}", original, original)


def apply_rewrites(trajectory: Trajectory, rewrites: Sequence[Rewrite]) -> Trajectory:
    """The dialogue with its new thoughts.

    It keeps its id, because its actions are those of the same run. Its turns are dropped when a
    thought has changed: their token ids no longer fit. Its state is that of the new thoughts.
    """
    messages = list(trajectory.messages)
    for rewrite in rewrites:
        if rewrite.outcome == REWRITTEN:
            message = messages[rewrite.message]
            content = replace_thought(message.content, rewrite.text)
            messages[rewrite.message] = replace(message, content=content)
    if tuple(messages) == trajectory.messages:
        return trajectory
    changed = replace(trajectory, messages=tuple(messages), turns=())
    # Thoughts state the hypotheses.
    state = build_state(read_turns(changed))
    return replace(changed, evidence=state.evidence, hypotheses=state.hypotheses)


def find_thoughts(trajectory: Trajectory) -> list[tuple[int, str]]:
    """(message number, thought) of each reply whose thought has its closing tag."""
    thoughts = []
    for number, message in enumerate(trajectory.messages):
        match = _THOUGHT.search(message.content) if message.role == "assistant" else None
        if match is not None:
            thoughts.append((number, match.group(1)))
    return thoughts


def replace_thought(content: str, text: str) -> str:
    """A message's content with another thought; everything around it stays."""
    match = _THOUGHT.search(content)
    if match is None:
        return content
    return content[: match.start(1)] + text + content[match.end(1) :]


def build_prompt(trajectory: Trajectory, task: Task) -> str:
    """The request to the model: the dialogue with numbered thoughts. It contains no guidance."""
    template = Template(read_prompt("medr_ray.trajectories", "rewrite", task.language))
    dialogue = "\n".join(_format_dialogue(trajectory))
    return template.substitute(dialogue=dialogue, fence=build_fence(dialogue))


def _format_dialogue(trajectory: Trajectory) -> Iterator[str]:
    thought_count = 0
    # The first message is the system's and the second the question.
    for number, message in enumerate(trajectory.messages[1:], 1):
        match = _THOUGHT.search(message.content) if message.role == "assistant" else None
        if message.role != "assistant" and number == 1:
            yield f"Question: {message.content}"
        elif message.role != "assistant":
            yield f"Tools returned: {message.content[:_MAX_RESPONSE_CHARS]}"
        elif match is not None:
            thought_count += 1
            yield f"Thought {thought_count}: {match.group(1)}"
            yield f"Action: {message.content[match.end() :].strip()}"
        else:
            yield f"Action: {message.content}"
