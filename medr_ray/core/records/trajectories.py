"""Runs of agents on tasks: their messages, tokens, tool calls, evidence and verdicts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One message of the dialogue; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Turn:
    """What the engine saw and sampled in one turn: token ids, the sampled tokens' log-probabilities
    (natural logarithm, at temperature 1), and the version of the weights. Empty for policies that
    are not token models."""

    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    policy_version: int


@dataclass(frozen=True)
class ToolEvent:
    """One tool call, in the order of the responses: ``arguments`` as JSON text, ``status`` ok,
    error, invalid (no well-formed call) or skipped (beyond the budget, not run), ``seconds`` of
    wall clock.

    ``repeated``: answered from what an identical call returned before, without running;
    ``abandoned``: its deadline passed and the tool did not stop. ``documents`` are the ids of what
    was shown.
    """

    tool: str
    arguments: str
    status: str
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
    """What the agent held to be so, in reply number ``reply`` (from 0): ``kind`` is finding
    ("relation = value", a step on the way), candidate (of the answer) or answer."""

    text: str
    kind: str
    reply: int


@dataclass(frozen=True)
class EvidenceEdge:
    """An edge of what an agent gathered, from tool event number ``call``: ``kind`` found (a query
    to a document it returned) or names (a document to a hypothesis whose words stand in what was
    shown of it)."""

    kind: str
    source: str
    target: str
    call: int


@dataclass(frozen=True)
class Trajectory:
    """One agent run on one question. ``mode`` is guided or exploration, in an evaluation the
    weights' name; ``stop_reason`` is answered, max_turns, max_tokens, max_seconds, loop (too many
    identical calls) or malformed; ``answer`` is null when none was given; ``cost`` in USD, null
    when unknown. ``asked`` says what was nearly spent when the agent was asked for its answer:
    calls, tokens, seconds or repeats, "" when it was not asked. ``evidence`` and ``hypotheses`` are
    the agent's state at the end."""

    trajectory_id: str
    question_id: str
    mode: str
    rollout: int
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    tool_events: tuple[ToolEvent, ...]
    documents: tuple[str, ...]
    answer: str | None
    stop_reason: str
    usage: Usage
    cost: float | None
    asked: str = ""
    evidence: tuple[EvidenceEdge, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()


@dataclass(frozen=True)
class FilteredTrajectory:
    """A trajectory with the filter's verdict; ``reasons`` is empty exactly when it was accepted."""

    trajectory: Trajectory
    accepted: bool
    reasons: tuple[str, ...]
