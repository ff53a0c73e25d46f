"""Runs of agents on tasks: their messages, tokens, tool calls, evidence and verdicts."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]
# "invalid": no well-formed call; "skipped": beyond the budget, not run.
ToolStatus = Literal["ok", "error", "invalid", "skipped"]
# How a teacher works: shown the masked triples of the question's path, or from its text alone.
TeachingMode = Literal["guided", "exploration"]
HypothesisKind = Literal["finding", "candidate", "answer"]
# What became of a hypothesis (see ``agent.state``).
HypothesisStatus = Literal["open", "supported", "rejected"]
EvidenceKind = Literal["found", "names"]
# What a reply did for the question (see ``trajectories.process_labels``).
ProcessLabel = Literal["found_needed_fact", "redundant", "error", "recovery", "verification"]
# What runs out in an episode before it is asked for its answer.
Budget = Literal["calls", "repeats", "tokens", "seconds", "usd"]
# "loop": too many identical calls; "infrastructure": an evaluation's attempt that never ended.
StopReason = Literal[
    "answered",
    "max_turns",
    "max_tokens",
    "max_seconds",
    "max_usd",
    "loop",
    "malformed",
    "infrastructure",
]


@dataclass(frozen=True)
class Message:
    """One message of the dialogue."""

    role: Role
    content: str


@dataclass(frozen=True)
class Turn:
    """The tokens that the engine read and sampled in one turn; empty for policies without tokens.

    ``logprobs`` are the log-probabilities of the sampled tokens (natural logarithm, at temperature
    1), ``policy_version`` is the version of the weights.
    """

    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    policy_version: int


@dataclass(frozen=True)
class ToolEvent:
    """One tool call, in the order of the responses. ``arguments`` is JSON text, ``seconds`` is
    wall-clock time.

    A ``repeated`` call was answered from what an identical call returned before, without running.
    An ``abandoned`` one passed its deadline and the tool did not stop. ``documents`` are the ids
    of the documents that were shown.
    """

    tool: str
    arguments: str
    status: ToolStatus
    seconds: float
    simulated_failure: bool
    repeated: bool = False
    abandoned: bool = False
    documents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens read and sampled (0 where the policy counts none) and model calls made."""

    prompt_tokens: int
    output_tokens: int
    model_calls: int


@dataclass(frozen=True)
class Hypothesis:
    """A claim of the agent in reply number ``reply`` (from 0).

    It is a finding ("relation = value", a step on the way), a candidate for the answer, or the
    answer. ``status`` is what became of it by the end of the dialogue.
    """

    text: str
    kind: HypothesisKind
    reply: int
    status: HypothesisStatus = "open"


@dataclass(frozen=True)
class EvidenceEdge:
    """An edge of the evidence that an agent gathered in tool event number ``call`` (from 0).

    "found" leads from a query to a document that it returned. "names" leads from a document to a
    hypothesis whose words stand in the shown part of the document.
    """

    kind: EvidenceKind
    source: str
    target: str
    call: int


@dataclass(frozen=True)
class Trajectory:
    """One agent run on one task.

    ``question_id`` is the task's id. ``mode`` is "guided" or "exploration"; in an evaluation it
    names the weights, so any text is possible. ``answer`` is null when none was given; ``cost`` is
    in USD, null when unknown. ``asked`` says what was nearly spent when the agent was asked for
    its answer, "" when it was not asked. ``evidence`` and ``hypotheses`` are the agent's state at
    the end.
    """

    trajectory_id: str
    question_id: str
    mode: str
    rollout: int
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    tool_events: tuple[ToolEvent, ...]
    documents: tuple[str, ...]
    answer: str | None
    stop_reason: StopReason
    usage: Usage
    cost: float | None
    asked: Budget | Literal[""] = ""
    evidence: tuple[EvidenceEdge, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()


@dataclass(frozen=True)
class TurnLabels:
    """What reply number ``reply`` (from 0) did; no label where it did nothing of the kind."""

    reply: int
    labels: tuple[ProcessLabel, ...]


@dataclass(frozen=True)
class FilteredTrajectory:
    """A trajectory with the filter's verdict; ``reasons`` is empty exactly when it was accepted.
    ``labels`` has an entry for each reply."""

    trajectory: Trajectory
    accepted: bool
    reasons: tuple[str, ...]
    labels: tuple[TurnLabels, ...] = ()
