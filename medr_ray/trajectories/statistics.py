"""Figures of trajectories beside those of the paper (section 3.2.2; the 4.2 calls of section 4).

Shares are of the given trajectories. A trajectory switches tools when it uses two different ones.
It recovers when a call by another tool asks again for what the call before failed at or did not
bring up: at least half of its words are those of the query before.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from medr_ray.agent.answer_checks import count_verification
from medr_ray.agent.state import query_text
from medr_ray.agent.transcript import ToolObservation, read_turns
from medr_ray.agent.wording import content_words
from medr_ray.core.records import FilteredTrajectory, Question, Trajectory
from medr_ray.trajectories.solver.solver import MEDICAL_SEARCH

PAPER_FIGURES = {
    "starts with the medical retriever": 0.78,
    "switches tools": 0.42,
    "recovers by another tool": 0.34,
    "calls": 4.2,
}
_MIN_SHARED_WORDS = 0.5  # of the words of the later query, for both to ask for the same


def compute_statistics(
    trajectories: Sequence[Trajectory], tokens: Mapping[str, int]
) -> dict[str, float]:
    """The means over all trajectories, by name; empty without trajectories.

    ``tokens`` is the length of each dialogue by trajectory id.
    """
    if not trajectories:
        return {}
    figures: dict[str, Callable[[Trajectory], float]] = {
        "starts with the medical retriever": starts_with_medical_search,
        "switches tools": switches_tools,
        "recovers by another tool": recovers_with_other_tool,
        "calls": lambda trajectory: len(trajectory.tool_events),
        "verification rounds": lambda trajectory: count_verification(trajectory).rounds,
        "simulated failures": _count_simulated_failures,
        "tokens": lambda trajectory: tokens[trajectory.trajectory_id],
    }
    return {name: round(fmean(map(figure, trajectories)), 4) for name, figure in figures.items()}


def count_accepted_by_kind(
    judged: Sequence[FilteredTrajectory], questions: Mapping[str, Question]
) -> dict[str, dict[str, tuple[int, int]]]:
    """(accepted, all) trajectories of each mode, paradigm, number of hops and specialty."""
    kinds: dict[str, Callable[[Trajectory], str]] = {
        "mode": lambda trajectory: trajectory.mode,
        "paradigm": lambda trajectory: questions[trajectory.question_id].paradigm,
        "hops": lambda trajectory: str(questions[trajectory.question_id].complexity),
        "specialty": lambda trajectory: questions[trajectory.question_id].specialty,
    }
    return {group: _count_accepted(judged, kind) for group, kind in kinds.items()}


def _count_accepted(
    judged: Sequence[FilteredTrajectory], kind: Callable[[Trajectory], str]
) -> dict[str, tuple[int, int]]:
    totals = Counter(kind(entry.trajectory) for entry in judged)
    accepted = Counter(kind(entry.trajectory) for entry in judged if entry.accepted)
    return {name: (accepted[name], totals[name]) for name in sorted(totals)}


def starts_with_medical_search(trajectory: Trajectory) -> bool:
    """Whether the first call is to the medical retriever."""
    return bool(trajectory.tool_events) and trajectory.tool_events[0].tool == MEDICAL_SEARCH


def switches_tools(trajectory: Trajectory) -> bool:
    """Whether two different tools were called."""
    return len({event.tool for event in trajectory.tool_events if event.tool}) > 1


def recovers_with_other_tool(trajectory: Trajectory) -> bool:
    """Whether a call by another tool made up for one that failed or did not help."""
    calls = [
        observation
        for turn in read_turns(trajectory)
        for observation in turn.observations
        if observation.event.tool
    ]
    return any(_repeats_with_other_tool(call, later) for call, later in pairwise(calls))


def _repeats_with_other_tool(call: ToolObservation, later: ToolObservation) -> bool:
    if later.event.tool == call.event.tool or later.event.status != "ok":
        return False
    words = content_words(query_text(call))
    later_words = content_words(query_text(later))
    shared_words = words & later_words
    # A later query without words repeats nothing.
    return bool(later_words) and len(shared_words) >= _MIN_SHARED_WORDS * len(later_words)


def _count_simulated_failures(trajectory: Trajectory) -> int:
    return sum(event.simulated_failure for event in trajectory.tool_events)
