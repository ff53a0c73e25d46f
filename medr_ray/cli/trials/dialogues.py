"""Trials of the roles that write or read dialogues: the teacher, the rewriter, the expert
preference, the judge of answers, and the reader of pages."""

import asyncio
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from medr_ray.agent.instructions import EpisodePrompt
from medr_ray.agent.policies import ChatPolicy
from medr_ray.agent.protocol import ToolCall, parse_reply, render_reply, render_responses
from medr_ray.cli.trials.questions import read_plan
from medr_ray.cli.trials.trial import Outcome, Trial, read_entries
from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.errors import ToolError
from medr_ray.core.records import GuidanceStep, Message, Task, ToolEvent, Trajectory, Usage
from medr_ray.evaluation.scorers.base import CORRECT, INCORRECT
from medr_ray.evaluation.scorers.llm_judge import LLMJudge
from medr_ray.llm.client import ChatClient
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.tools.arguments import check_arguments
from medr_ray.tools.base import Tool
from medr_ray.tools.medical import MedicalSearchTool
from medr_ray.tools.read import ReadTool
from medr_ray.tools.reading.quoting import ModelQuoter, RulesQuoter
from medr_ray.tools.search import SearchTool
from medr_ray.training.rewards import ModelPreference
from medr_ray.trajectories.rewriting import REWRITTEN, rewrite_thoughts
from medr_ray.trajectories.teacher import format_guidance_hint

# A preference from here on is for the dialogue, below it against it.
_MIDDLE_SCORE = 0.5


# --- the teacher ----------------------------------------------------------------------


def list_teacher_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """A first reply that calls an offered tool; every second question comes with directions."""
    tools = _describe_tools(config)
    names = ", ".join(tool.name for tool in tools)
    for number, entry in enumerate(read_entries("questions")["questions"]):
        task = Task("trial", entry["plain"], entry["language"], "")
        hint = ""
        if number % 2:
            hint = format_guidance_hint(_list_guidance(entry), task.language)
        ask = functools.partial(_begin_episode, config, tools, task, hint)
        guided = ", guided" if hint else ""
        expected = f"a well-formed call of {names}, and no answer yet"
        yield Trial(f"{entry['language']}{guided}", entry["plain"], expected, ask)


def _describe_tools(config: PipelineConfig) -> list[Tool]:
    """Those of ``agent.tools`` that are described without an index or a server; they are offered
    and never called."""
    nothing: Any = None
    chars = config.agent.observation_chars
    described: list[Tool] = [
        SearchTool(nothing, chars),
        MedicalSearchTool(nothing, chars),
        ReadTool(config.tools.read, RulesQuoter(1, chars), None, chars),
    ]
    offered = [tool for tool in described if tool.name in config.agent.tools]
    return offered or described[:2]


def _list_guidance(entry: Mapping[str, Any]) -> list[GuidanceStep]:
    steps = [node for node in read_plan(entry["plan"]).walk() if not node.is_named]
    kinds = [STEP_KINDS[step.kind] for step in steps]
    return [GuidanceStep(kind.inputs[0], kind.name, kind.output) for kind in kinds]


def _begin_episode(
    config: PipelineConfig, tools: list[Tool], task: Task, hint: str, client: ChatClient
) -> Outcome:
    async def take_turn() -> str:
        prompt = EpisodePrompt(task, tuple(tools), config.agent)
        complete = functools.partial(client.complete, max_tokens=config.agent.max_turn_tokens)
        policy = ChatPolicy(complete, hint)
        await policy.prepare(prompt)
        turn = await policy.respond(prompt.opening_messages())
        return turn.text if turn is not None else ""

    text = asyncio.run(take_turn())
    problem = _find_call_problem(text, {tool.name: tool for tool in tools})
    return Outcome(not problem, f"{problem}: {text}" if problem else text)


def _find_call_problem(text: str, tools: Mapping[str, Tool]) -> str:
    """Why a first reply is no call of an offered tool, "" where it is."""
    reply = parse_reply(text)
    if reply.answer is not None:
        return "it answers before it has looked anything up"
    if reply.problems:
        return reply.problems[0]
    for call in reply.calls:
        if call.name not in tools:
            return f"it calls {call.name}, which is not offered"
        try:
            check_arguments(call.name, tools[call.name].parameters, call.arguments)
        except ToolError as error:
            return str(error)
    return "" if reply.calls else "it calls nothing"


# --- the rewriter and the preference --------------------------------------------------


def list_rewriter_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """New texts for all thoughts, none with a fact of its own, and the same calls."""
    for entry in read_entries("dialogues"):
        if "rewriter" not in entry["roles"]:
            continue
        trajectory, task = _build_dialogue(entry)
        thoughts = [*(turn["thought"] for turn in entry["turns"]), entry["last"]]
        expected = f"{len(thoughts)} new thoughts that add no fact and change no call"
        ask = functools.partial(_rewrite, trajectory, task)
        yield Trial(entry["name"], " / ".join(thoughts), expected, ask)


def _rewrite(trajectory: Trajectory, task: Task, client: ChatClient) -> Outcome:
    rewrites = asyncio.run(rewrite_thoughts(trajectory, task, client))
    passed = all(rewrite.outcome == REWRITTEN for rewrite in rewrites)
    came_back = [
        rewrite.text if rewrite.outcome == REWRITTEN else f"({rewrite.outcome})"
        for rewrite in rewrites
    ]
    return Outcome(passed, " / ".join(came_back))


def list_preference_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """A high score for careful dialogues, a low one for those that invent."""
    for entry in read_entries("dialogues"):
        if "preference" not in entry["roles"]:
            continue
        trajectory, task = _build_dialogue(entry)
        side = "at least" if entry["good"] else "less than"
        ask = functools.partial(_score, trajectory, task, entry["good"])
        yield Trial(entry["name"], entry["last"], f"a score of {side} {_MIDDLE_SCORE}", ask)


def _score(trajectory: Trajectory, task: Task, is_good: bool, client: ChatClient) -> Outcome:
    (score,) = ModelPreference(client).score([trajectory], [task])
    if score is None:
        return Outcome(False, "no score that can be read")
    return Outcome((score >= _MIDDLE_SCORE) == is_good, f"{score:g}")


def _build_dialogue(entry: Mapping[str, Any]) -> tuple[Trajectory, Task]:
    """The dialogue as an agent leaves it, and its task; ``right`` is the right answer where the
    agent's is another."""
    task = Task("trial", entry["question"], entry["language"], entry.get("right", entry["answer"]))
    messages = [Message("system", "You look things up."), Message("user", task.text)]
    events = []
    for turn in entry["turns"]:
        call = ToolCall(turn["tool"], {"query": turn["query"]})
        messages.append(Message("assistant", render_reply(turn["thought"], [call])))
        messages.append(Message("user", render_responses([turn["response"]])))
        events.append(ToolEvent(turn["tool"], "{}", "ok", 0.0, False))
    messages.append(Message("assistant", render_reply(entry["last"], answer=entry["answer"])))
    trajectory = Trajectory(
        "trial",
        task.task_id,
        "exploration",
        0,
        tuple(messages),
        (),
        tuple(events),
        (),
        entry["answer"],
        "answered",
        Usage(0, 0, 0),
        None,
    )
    return trajectory, task


# --- the judge and the reader of pages ------------------------------------------------


def list_judge_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """The verdict on an answer whose verdict is beyond doubt."""
    for entry in read_entries("answers"):
        task = Task(
            "trial", entry["question"], entry["language"], entry["answer"], tuple(entry["aliases"])
        )
        expected = CORRECT if entry["correct"] else INCORRECT
        ask = functools.partial(_judge, endpoint, task, entry["given"], expected)
        sent = f"{task.text} Right: {task.answer}. Given: {entry['given']}"
        yield Trial(f"{entry['name']} ({task.language})", sent, expected, ask)


def _judge(
    endpoint: EndpointConfig, task: Task, given: str, expected: str, client: ChatClient
) -> Outcome:
    score = asyncio.run(LLMJudge(client, endpoint.model).score(task, given))
    return Outcome(score.verdict == expected, f"{score.verdict}: {score.reason}")


def list_quoter_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """The passage of a page that speaks of a goal, word for word."""
    for entry in read_entries("pages"):
        quoted = entry["quoted"]
        expected = f"a passage with “{quoted}”" if quoted else "no passage"
        ask = functools.partial(_quote, config, entry["goal"], entry["page"], quoted)
        yield Trial(entry["name"], f"{entry['goal']}: {entry['page']}", expected, ask)


def _quote(
    config: PipelineConfig, goal: str, page: str, quoted: str, client: ChatClient
) -> Outcome:
    limits = config.tools.read
    quoter = ModelQuoter(client, limits.quotes, limits.quote_chars, limits.extract_chars)
    try:
        quotes = asyncio.run(quoter.find_quotes(goal, page))
    except ToolError as error:
        return Outcome(False, str(error))
    came_back = " / ".join(quotes) or "no passage"
    passed = any(quoted in quote for quote in quotes) if quoted else not quotes
    return Outcome(passed, came_back)
