"""Figures of trajectories beside those of the paper (section 3.2.2; the 4.2 calls of section 4).

Every figure is a mean over the trajectories that its name speaks of, and comes with their number:

- ``begins with the medical retriever, rare entity``: the first call is to ``medical_search``, of
  the trajectories whose question names a rare entity (``rarity``); ``other entities``: of all
  others. Without an index that counts words neither is given. A trajectory without calls begins
  with none.
- ``switches tools``: some call is to another tool than the call before it. Calls of one reply
  follow one another in the order of the reply.
- ``met an outage or error``: some call failed, was malformed or was beyond the budget.
- ``met an empty or unhelpful result``: some call succeeded and brought nothing that was needed then
  (``process_labels``).
- ``recovers from ...``: of those that met such a failure, the share in which a later call by
  another tool or in other words made up for one (``process_labels``).
- ``recovers by another tool``: of those that met either, the share in which the call that made up
  was to another tool than the call that failed.
- ``verification rounds``: see ``agent.answer_checks``.
- ``calls``, ``simulated failures``, ``tokens``: the number in a trajectory.
- ``queries that repeat the question``: of all queries of three words and more, those that are a
  contiguous run of the question's words, whatever their case.
- ``largest share of a thought frame``: of all thoughts, those of the commonest frame
  (``thought_frames``); ``of a sentence frame``: of all sentences of thoughts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from medr_ray.agent.answer_checks import count_verification
from medr_ray.agent.tool_features import MEDICAL
from medr_ray.core.errors import DataError
from medr_ray.core.json_text import parse_json
from medr_ray.core.records import FilteredTrajectory, Question, ToolEvent, Trajectory
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.trajectories.process_labels import Call, analyse_calls, find_recoveries
from medr_ray.trajectories.thought_frames import FrameCounts, count_frames

BEGINS_RARE = "begins with the medical retriever, rare entity"
BEGINS_OTHER = "begins with the medical retriever, other entities"
RECOVERS_BY_TOOL = "recovers by another tool"
PAPER_FIGURES = {
    BEGINS_RARE: 0.78,
    "switches tools": 0.42,
    RECOVERS_BY_TOOL: 0.34,
    "calls": 4.2,
}
_MIN_QUERY_WORDS = 3  # of a query that can repeat the question
# What a figure counts in a trajectory is a number; all others are shares.
NUMBERS = frozenset({"calls", "verification rounds", "simulated failures", "tokens"})


@dataclass(frozen=True)
class Figure:
    """A mean over ``n`` trajectories, calls or thoughts."""

    value: float
    n: int


def read_figures(saved: Mapping[str, Any]) -> dict[str, Figure]:
    """The figures of a manifest. Raises DataError for those of an earlier version, which are single
    numbers."""
    try:
        return {name: Figure(**figure) for name, figure in saved.items()}
    except TypeError:
        raise DataError(
            "the statistics of this trajectories stage are of an earlier version: "
            "make it anew by `medr trajectories run`"
        ) from None


@dataclass(frozen=True)
class StatisticsInput:
    """What the figures are computed from, beside the trajectories.

    ``questions`` by task id, ``tokens`` the length of each dialogue by trajectory id. ``rare`` has
    the ids of the tasks that name a rare entity, None where that cannot be said.
    """

    questions: Mapping[str, Question]
    tokens: Mapping[str, int]
    rare: frozenset[str] | None = None


Measure = Callable[[Trajectory], float]


@dataclass(frozen=True)
class _Analysis:
    """What takes long to find out about a trajectory: its calls, its rounds of verification, and
    the frames of its thoughts."""

    trajectory: Trajectory
    calls: Sequence[Call]
    verification_rounds: int
    frames: FrameCounts


def _analyse(trajectories: Iterable[Trajectory], given: StatisticsInput) -> list[_Analysis]:
    return [
        _Analysis(
            trajectory,
            analyse_calls(trajectory, given.questions[trajectory.question_id]),
            count_verification(trajectory).rounds,
            count_frames(trajectory),
        )
        for trajectory in trajectories
    ]


def compute_statistics(
    trajectories: Sequence[Trajectory], given: StatisticsInput
) -> dict[str, Figure]:
    """The figures by name; one whose trajectories are none is left out."""
    return _summarise(_analyse(trajectories, given), given)


def compute_statistics_by_kind(
    trajectories: Sequence[Trajectory], given: StatisticsInput, style: str = ""
) -> dict[str, dict[str, dict[str, Figure]]]:
    """The figures of the trajectories of each kind, by group and kind: mode, hops, specialty,
    source of the question (a question may have several), and the ``style`` that they were made in,
    where there is one."""
    groups: dict[str, dict[str, list[_Analysis]]] = {}
    for analysis in _analyse(trajectories, given):
        for group, kind in _list_kinds(analysis.trajectory, given.questions, style):
            groups.setdefault(group, {}).setdefault(kind, []).append(analysis)
    return {
        group: {kind: _summarise(kinds[kind], given) for kind in sorted(kinds)}
        for group, kinds in groups.items()
    }


def _summarise(analyses: Sequence[_Analysis], given: StatisticsInput) -> dict[str, Figure]:
    trajectories = [analysis.trajectory for analysis in analyses]
    calls = {analysis.trajectory.trajectory_id: analysis.calls for analysis in analyses}
    rounds = {
        analysis.trajectory.trajectory_id: analysis.verification_rounds for analysis in analyses
    }
    figures = {
        **_measure_first_tools(trajectories, given.rare),
        "switches tools": _average(trajectories, switches_tools),
        **_measure_recoveries(trajectories, calls),
        "verification rounds": _average(
            trajectories, lambda trajectory: rounds[trajectory.trajectory_id]
        ),
        "calls": _average(trajectories, lambda trajectory: len(trajectory.tool_events)),
        "simulated failures": _average(trajectories, _count_simulated_failures),
        "tokens": _average(trajectories, lambda trajectory: given.tokens[trajectory.trajectory_id]),
        "queries that repeat the question": _measure_repeated_phrases(trajectories),
        "largest share of a thought frame": _measure_largest(
            analysis.frames.thoughts for analysis in analyses
        ),
        "largest share of a sentence frame": _measure_largest(
            analysis.frames.sentences for analysis in analyses
        ),
    }
    return {name: figure for name, figure in figures.items() if figure.n}


def _list_kinds(
    trajectory: Trajectory, questions: Mapping[str, Question], style: str
) -> Iterator[tuple[str, str]]:
    question = questions[trajectory.question_id]
    yield "mode", trajectory.mode
    yield "hops", str(question.complexity)
    yield "specialty", question.specialty
    for source in question.sources:
        yield "source", source
    if style:
        yield "style", style


def _average(trajectories: Iterable[Trajectory], measure: Measure) -> Figure:
    values = [float(measure(trajectory)) for trajectory in trajectories]
    return Figure(round(fmean(values), 4) if values else 0.0, len(values))


# --- tools ----------------------------------------------------------------------------


def _measure_first_tools(
    trajectories: Sequence[Trajectory], rare: frozenset[str] | None
) -> dict[str, Figure]:
    if rare is None:
        return {}
    naming_rare = [entry for entry in trajectories if entry.question_id in rare]
    others = [entry for entry in trajectories if entry.question_id not in rare]
    return {
        BEGINS_RARE: _average(naming_rare, begins_with_medical_search),
        BEGINS_OTHER: _average(others, begins_with_medical_search),
    }


def begins_with_medical_search(trajectory: Trajectory) -> bool:
    """Whether the first call is to the medical retriever."""
    tools = _list_tools(trajectory)
    return bool(tools) and tools[0] == MEDICAL


def switches_tools(trajectory: Trajectory) -> bool:
    """Whether some call is to another tool than the call before it."""
    return any(tool != later for tool, later in pairwise(_list_tools(trajectory)))


def _list_tools(trajectory: Trajectory) -> list[str]:
    """The tools of the calls in order; a malformed call has none."""
    return [event.tool for event in trajectory.tool_events if event.tool]


def _count_simulated_failures(trajectory: Trajectory) -> int:
    return sum(event.simulated_failure for event in trajectory.tool_events)


# --- recoveries -----------------------------------------------------------------------


def _measure_recoveries(
    trajectories: Sequence[Trajectory], calls: Mapping[str, Sequence[Call]]
) -> dict[str, Figure]:
    failed = [entry for entry in trajectories if _has_failed(calls[entry.trajectory_id])]
    unhelped = [entry for entry in trajectories if _was_unhelped(calls[entry.trajectory_id])]
    either = [
        entry
        for entry in trajectories
        if _has_failed(calls[entry.trajectory_id]) or _was_unhelped(calls[entry.trajectory_id])
    ]

    def recovers_from_failure(trajectory: Trajectory) -> bool:
        pairs = find_recoveries(calls[trajectory.trajectory_id])
        return any(call.has_failed for call, _ in pairs)

    def recovers_from_no_help(trajectory: Trajectory) -> bool:
        pairs = find_recoveries(calls[trajectory.trajectory_id])
        return any(call.is_unhelpful for call, _ in pairs)

    def recovers_by_tool(trajectory: Trajectory) -> bool:
        pairs = find_recoveries(calls[trajectory.trajectory_id])
        return any(
            call.observation.event.tool != later.observation.event.tool for call, later in pairs
        )

    return {
        "met an outage or error": _average(
            trajectories, lambda trajectory: _has_failed(calls[trajectory.trajectory_id])
        ),
        "recovers from an outage or error": _average(failed, recovers_from_failure),
        "met an empty or unhelpful result": _average(
            trajectories, lambda trajectory: _was_unhelped(calls[trajectory.trajectory_id])
        ),
        "recovers from an empty or unhelpful result": _average(unhelped, recovers_from_no_help),
        RECOVERS_BY_TOOL: _average(either, recovers_by_tool),
    }


def _has_failed(calls: Sequence[Call]) -> bool:
    return any(call.has_failed for call in calls)


def _was_unhelped(calls: Sequence[Call]) -> bool:
    return any(call.is_unhelpful for call in calls)


# --- words ----------------------------------------------------------------------------


def _measure_repeated_phrases(trajectories: Sequence[Trajectory]) -> Figure:
    repeats = [
        repeats_question(query, trajectory.messages[1].content)
        for trajectory in trajectories
        for event in trajectory.tool_events
        for query in _list_queries(event)
        if len(_split_words(query)) >= _MIN_QUERY_WORDS
    ]
    return Figure(round(fmean(repeats), 4) if repeats else 0.0, len(repeats))


def _list_queries(event: ToolEvent) -> list[str]:
    """The texts among a call's arguments that have several words: its query, or its goal."""
    arguments = parse_json(event.arguments or "{}", "the arguments of a call")
    return [value for value in arguments.values() if isinstance(value, str)]


def repeats_question(query: str, question: str) -> bool:
    """Whether a query of three words and more is a contiguous run of the question's words."""
    words = _split_words(query)
    question_words = _split_words(question)
    return len(words) >= _MIN_QUERY_WORDS and any(
        question_words[start : start + len(words)] == words
        for start in range(len(question_words) - len(words) + 1)
    )


def _split_words(text: str) -> list[str]:
    """The words of a text without punctuation around them; a Chinese character is a word."""
    spaced = "".join(f" {sign} " if "\u3400" <= sign <= "\u9fff" else sign for sign in text)
    words = (word.strip(".,;:?!()[]\"'，。；：？！（）") for word in normalise(spaced).split())
    return [word for word in words if word]


def _measure_largest(counts: Iterable[Counter[str]]) -> Figure:
    frames: Counter[str] = Counter()
    for count in counts:
        frames.update(count)
    total = frames.total()
    if not total:
        return Figure(0.0, 0)
    return Figure(round(max(frames.values()) / total, 4), total)


# --- accepted -------------------------------------------------------------------------


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
