"""Preference pairs: an accepted and a rejected dialogue about the same question.

The rule:

- Chosen is the accepted dialogue with the fewest calls; of several, the first by id.
- Rejected is one with the same system message and question that has a fault of the agent. It is the
  one with the most different faults; of several the one whose number of calls is nearest to the
  chosen one's, so that length tells the two apart as little as may be; then the first by id.
- There is one pair of each question, or up to ``per_question`` with the next rejected ones.

A dialogue that was rejected only for its length, its time or an outage is in no pair. Its replies
may be as good as the chosen one's: whoever prefers the other learns that long evidence is wrong, or
that a tool's failure is the agent's fault. An agent that gave up or ran out of budget after a tool
failed may have done so for the failure, so that counts as an outage too. No pair has a dialogue
that names guidance, which is in no text that leaves the stage, or whose messages are out of turn.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.core.records import FilteredTrajectory, Message, Question, Trajectory
from medr_ray.trajectories.export import describe_question, render_messages
from medr_ray.trajectories.filtering import Reason, ReasonCode

_LEAST_ROLLOUTS = 2  # of a question, for one to be accepted and another rejected
# Stop reasons that say what ran out, and nothing of what the agent did.
_SPENT = frozenset({"max_tokens", "max_seconds", "infrastructure"})
# Length in tokens or calls, of which an agent knows no bound, and outages.
_NO_FAULTS = frozenset(
    {ReasonCode.TOO_LONG, ReasonCode.BEYOND_BUDGET, ReasonCode.UNRECOVERED_FAILURE}
)
# What no trainer is to see: guidance, and messages that do not take turns.
_UNUSABLE = frozenset({ReasonCode.LEAKED_GUIDANCE, ReasonCode.UNPAIRED_CALLS})
# How a dialogue ends where tools failed and used up the budget.
_AFTER_OUTAGE = frozenset({ReasonCode.GAVE_UP, ReasonCode.NO_ANSWER})


@dataclass(frozen=True)
class PreferencePair:
    """Two dialogues about a question. ``margin`` is the number of different faults of the rejected
    one."""

    chosen: FilteredTrajectory
    rejected: FilteredTrajectory
    margin: int


@dataclass(frozen=True)
class PairCounts:
    """Why there are no more pairs: questions by what their dialogues were. ``rollouts`` is the
    greatest number of dialogues about one question."""

    questions: int
    accepted_only: int
    rejected_only: int
    without_fault: int
    rollouts: int

    def describe(self) -> str:
        """The counts in words."""
        return (
            f"{self.accepted_only:,} of {self.questions:,} questions have accepted dialogues only, "
            f"{self.rejected_only:,} rejected ones only, and in {self.without_fault:,} the "
            "rejected ones are so only for length or an outage, or begin differently"
        )

    def suggest(self) -> str:
        """What to set for more pairs."""
        if self.rollouts < _LEAST_ROLLOUTS:
            return (
                f"Set trajectories.rollouts_per_question to {_LEAST_ROLLOUTS} or more (there is "
                f"{self.rollouts} dialogue of a question), and trajectories.guided_fraction "
                "between 0 and 1 so that questions are played in both modes"
            )
        return (
            "Dialogues about the same question came to the same end, as a teacher by rules mostly "
            "does: raise trajectories.rollouts_per_question, set trajectories.guided_fraction "
            "between 0 and 1 so that questions are played in both modes, or let a model play "
            "(trajectories.teacher: llm, llm.temperature above 0)"
        )


def find_pairs(
    judged: Sequence[FilteredTrajectory], per_question: int = 1
) -> tuple[list[PreferencePair], PairCounts]:
    """(the pairs by question id, why there are no more)."""
    dialogues: dict[str, list[FilteredTrajectory]] = defaultdict(list)
    for entry in judged:
        dialogues[entry.trajectory.question_id].append(entry)
    pairs: list[PreferencePair] = []
    accepted_only = rejected_only = without_fault = 0
    for _, entries in sorted(dialogues.items()):
        found_pairs = _pair_dialogues(entries)
        pairs += found_pairs[:per_question]
        accepted = sum(entry.accepted for entry in entries)
        accepted_only += accepted == len(entries)
        rejected_only += accepted == 0
        without_fault += 0 < accepted < len(entries) and not found_pairs
    rollouts = max(map(len, dialogues.values()), default=0)
    counts = PairCounts(len(dialogues), accepted_only, rejected_only, without_fault, rollouts)
    return pairs, counts


def _pair_dialogues(entries: Sequence[FilteredTrajectory]) -> list[PreferencePair]:
    """All pairs of one question, the first to be taken first."""
    accepted = sorted((entry for entry in entries if entry.accepted), key=_rank_accepted)
    if not accepted:
        return []
    chosen = accepted[0]
    prompt, _ = split_prompt(chosen.trajectory)
    pairs = []
    for entry in entries:
        faults = find_faults(entry)
        if entry.accepted or not faults or faults & _UNUSABLE:
            continue
        other_prompt, completion = split_prompt(entry.trajectory)
        if completion and other_prompt == prompt:
            pairs.append(PreferencePair(chosen, entry, len(faults)))
    return sorted(pairs, key=_rank_pair)


def _rank_accepted(entry: FilteredTrajectory) -> tuple[int, str]:
    return len(entry.trajectory.tool_events), entry.trajectory.trajectory_id


def _rank_pair(pair: PreferencePair) -> tuple[int, int, str]:
    chosen, rejected = pair.chosen.trajectory, pair.rejected.trajectory
    distance = abs(len(rejected.tool_events) - len(chosen.tool_events))
    return -pair.margin, distance, rejected.trajectory_id


def find_faults(entry: FilteredTrajectory) -> set[ReasonCode]:
    """The reasons against a dialogue that are faults of its agent."""
    reasons = [Reason.parse(text) for text in entry.reasons]
    codes = {reason.code for reason in reasons if not _is_spent(reason)}
    if any(event.status == "error" for event in entry.trajectory.tool_events):
        codes -= _AFTER_OUTAGE
    return codes - _NO_FAULTS


def _is_spent(reason: Reason) -> bool:
    return reason.code == ReasonCode.NO_ANSWER and reason.detail in _SPENT


def split_prompt(
    trajectory: Trajectory,
) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """(what stands before the first reply, the rest up to the last reply)."""
    numbers = [
        number for number, message in enumerate(trajectory.messages) if message.role == "assistant"
    ]
    if not numbers:
        return trajectory.messages, ()
    first, last = numbers[0], numbers[-1]
    return trajectory.messages[:first], trajectory.messages[first : last + 1]


def build_pair_row(pair: PreferencePair, questions: Mapping[str, Question]) -> dict[str, Any]:
    """A row as TRL's DPOTrainer takes a conversational preference data set
    (https://huggingface.co/docs/trl/dataset_formats#preference), with an explicit prompt, which TRL
    recommends.

    ``margin`` is a column that TRL's RewardTrainer takes as the margin of its loss. The completions
    hold tool responses, which DPO weighs like replies where it has no mask for them.
    """
    chosen, rejected = pair.chosen.trajectory, pair.rejected.trajectory
    prompt, chosen_messages = split_prompt(chosen)
    _, rejected_messages = split_prompt(rejected)
    question = questions[chosen.question_id]
    return {
        "question_id": chosen.question_id,
        "chosen_id": chosen.trajectory_id,
        "rejected_id": rejected.trajectory_id,
        "chosen_mode": chosen.mode,
        "rejected_mode": rejected.mode,
        "chosen_calls": len(chosen.tool_events),
        "rejected_calls": len(rejected.tool_events),
        "chosen_verdict": "accepted",
        "rejected_verdict": "; ".join(pair.rejected.reasons),
        "margin": float(pair.margin),
        **describe_question(question),
        "prompt": render_messages(prompt),
        "chosen": render_messages(chosen_messages),
        "rejected": render_messages(rejected_messages),
    }
