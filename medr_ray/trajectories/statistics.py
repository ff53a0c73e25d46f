"""What trajectories look like beside the paper's (section 3.2.2 and the 4.2 calls of section 4):
pure counts.

Shares are of the trajectories given. A tool switch is any use of two tools; a recovery is a call by
another tool that asks again what a call before it failed at or did not bring up: at least half of
its words are those of that query.
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
from medr_ray.trajectories.teacher import MEDICAL

PAPER = {
    "starts with the medical retriever": 0.78,
    "switches tools": 0.42,
    "recovers by another tool": 0.34,
    "calls": 4.2,
}
_SAME_NEED = 0.5  # of the words of the later query


def statistics(trajectories: Sequence[Trajectory], tokens: Mapping[str, int]) -> dict[str, float]:
    """The figures by name; ``tokens`` is the length of each dialogue by trajectory id. Empty for no
    trajectories."""
    if not trajectories:
        return {}
    figures: dict[str, Callable[[Trajectory], float]] = {
        "starts with the medical retriever": starts_medical,
        "switches tools": switches_tools,
        "recovers by another tool": recovers,
        "calls": lambda one: len(one.tool_events),
        "verification rounds": lambda one: count_verification(one).rounds,
        "simulated failures": lambda one: sum(event.simulated_failure for event in one.tool_events),
        "tokens": lambda one: tokens[one.trajectory_id],
    }
    return {name: round(fmean(map(figure, trajectories)), 4) for name, figure in figures.items()}


def passed(
    judged: Sequence[FilteredTrajectory], questions: Mapping[str, Question]
) -> dict[str, dict[str, tuple[int, int]]]:
    """(accepted, all) trajectories of each mode, paradigm, number of hops and specialty."""
    kinds: dict[str, Callable[[Trajectory], str]] = {
        "mode": lambda one: one.mode,
        "paradigm": lambda one: questions[one.question_id].paradigm,
        "hops": lambda one: str(questions[one.question_id].complexity),
        "specialty": lambda one: questions[one.question_id].specialty,
    }
    return {group: _passed(judged, kind) for group, kind in kinds.items()}


def _passed(
    judged: Sequence[FilteredTrajectory], kind: Callable[[Trajectory], str]
) -> dict[str, tuple[int, int]]:
    every = Counter(kind(entry.trajectory) for entry in judged)
    accepted = Counter(kind(entry.trajectory) for entry in judged if entry.accepted)
    return {name: (accepted[name], every[name]) for name in sorted(every)}


def starts_medical(trajectory: Trajectory) -> bool:
    """Whether the first call is to the medical retriever."""
    return bool(trajectory.tool_events) and trajectory.tool_events[0].tool == MEDICAL


def switches_tools(trajectory: Trajectory) -> bool:
    """Whether two different tools were called."""
    return len({event.tool for event in trajectory.tool_events if event.tool}) > 1


def recovers(trajectory: Trajectory) -> bool:
    """Whether a call by another tool made up for one that failed or did not bring it up."""
    calls = [
        observation
        for turn in read_turns(trajectory)
        for observation in turn.observations
        if observation.event.tool
    ]
    return any(_makes_up(call, later) for call, later in pairwise(calls))


def _makes_up(one: ToolObservation, later: ToolObservation) -> bool:
    if later.event.tool == one.event.tool or later.event.status != "ok":
        return False
    before, again = content_words(query_text(one)), content_words(query_text(later))
    return len(before & again) >= _SAME_NEED * len(again) > 0
