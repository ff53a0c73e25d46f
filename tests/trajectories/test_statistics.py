"""The figures beside the paper's, on dialogues small enough to count by hand."""

import json

import pytest
from support.questions import make_question

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.errors import DataError
from medr_ray.core.records import FilteredTrajectory, Message, ToolEvent, Trajectory, Usage
from medr_ray.trajectories.statistics import (
    BEGINS_OTHER,
    BEGINS_RARE,
    PAPER_FIGURES,
    RECOVERS_BY_TOOL,
    Figure,
    StatisticsInput,
    compute_statistics,
    compute_statistics_by_kind,
    count_accepted_by_kind,
    read_figures,
    repeats_question,
    switches_tools,
)

Call = tuple[str, str, str]  # tool, query, response
# Question q-0 asks for the disease of the gene G0, which is "Hepatitis B" as support has it.
QUESTION = make_question(0)
QUESTIONS = {f"q-{number}": make_question(number, hops=1 + number % 2) for number in range(4)}


def dialogue(
    *calls: Call, identifier: str = "traj-1", question: str = "q-0", mode: str = "guided"
) -> Trajectory:
    messages, events = [Message("system", "s"), Message("user", "Which disease is behind G0?")], []
    for tool, query, response in calls:
        messages.append(
            Message("assistant", render_reply("look", [ToolCall(tool, {"query": query})]))
        )
        messages.append(Message("user", render_responses([response])))
        status = "error" if response.startswith("error") else "ok"
        events.append(ToolEvent(tool, json.dumps({"query": query}), status, 0.1, status == "error"))
    messages.append(Message("assistant", render_reply("that is it", answer="Hepatitis B")))
    return Trajectory(
        identifier,
        question,
        mode,
        0,
        tuple(messages),
        (),
        tuple(events),
        (),
        "Hepatitis B",
        "answered",
        Usage(0, 0, 0),
        None,
    )


FOUND = "G0 causes Hepatitis B"
MEDICAL = dialogue(("medical_search", "disease of G0", FOUND))
RECOVERED = dialogue(
    ("search", "disease of G0", "error: down"), ("medical_search", "disease of G0", FOUND)
)
REPHRASED = dialogue(
    ("medical_search", "disease of G0", "nothing"), ("medical_search", "what G0 causes", FOUND)
)
RETRIED = dialogue(("search", "disease of G0", "error: down"), ("search", "disease of G0", FOUND))
UNRELATED = dialogue(
    ("search", "weather", "error: down"), ("medical_search", "disease of G0", FOUND)
)
SWITCHED = dialogue(
    ("search", "disease of G0", FOUND), ("medical_search", "treatment of hepatitis", "none")
)


def figures_of(*trajectories: Trajectory, rare: frozenset[str] | None = None) -> dict[str, Figure]:
    tokens = {trajectory.trajectory_id: 400 for trajectory in trajectories}
    return compute_statistics(trajectories, StatisticsInput(QUESTIONS, tokens, rare))


@pytest.mark.parametrize(
    ("trajectory", "switched"),
    [
        (MEDICAL, False),
        (RECOVERED, True),
        (RETRIED, False),
        (dialogue(), False),
        (dialogue(("search", "a", "x"), ("", "", "x"), ("search", "b", "x")), False),
    ],
)
def test_a_switch_is_a_call_to_another_tool_than_the_one_before(
    trajectory: Trajectory, switched: bool
) -> None:
    assert switches_tools(trajectory) is switched


@pytest.mark.parametrize(
    ("trajectory", "from_error", "from_no_help", "by_tool"),
    [
        (MEDICAL, None, None, None),
        (RECOVERED, Figure(1, 1), None, Figure(1, 1)),
        (REPHRASED, None, Figure(1, 1), Figure(0, 1)),
        # The same call sent again is a retry, and another need recovers nothing.
        (RETRIED, Figure(0, 1), None, Figure(0, 1)),
        (UNRELATED, Figure(0, 1), None, Figure(0, 1)),
        # Nothing was needed any more.
        (SWITCHED, None, None, None),
    ],
)
def test_only_who_met_a_failure_can_recover_from_it(
    trajectory: Trajectory,
    from_error: Figure | None,
    from_no_help: Figure | None,
    by_tool: Figure | None,
) -> None:
    figures = figures_of(trajectory)
    assert figures.get("recovers from an outage or error") == from_error
    assert figures.get("recovers from an empty or unhelpful result") == from_no_help
    assert figures.get(RECOVERS_BY_TOOL) == by_tool
    assert figures["met an outage or error"].value == (from_error is not None)
    assert figures["met an empty or unhelpful result"].value == (from_no_help is not None)


def test_the_first_tool_is_counted_apart_for_rare_entities() -> None:
    trajectories = [
        dialogue(("medical_search", "a", "x"), identifier="traj-1", question="q-1"),
        dialogue(("search", "a", "x"), identifier="traj-2", question="q-1"),
        dialogue(("medical_search", "a", "x"), identifier="traj-3", question="q-2"),
    ]
    figures = figures_of(*trajectories, rare=frozenset({"q-1"}))
    assert figures[BEGINS_RARE] == Figure(0.5, 2)
    assert figures[BEGINS_OTHER] == Figure(1, 1)
    assert BEGINS_RARE not in figures_of(*trajectories), "without an index nothing can be said"


def test_means_have_the_names_of_the_paper_figures() -> None:
    figures = figures_of(MEDICAL, RECOVERED, rare=frozenset({"q-0"}))
    assert set(PAPER_FIGURES) <= set(figures)
    assert figures["calls"] == Figure(1.5, 2)
    assert figures["simulated failures"] == Figure(0.5, 2)
    assert figures["tokens"] == Figure(400, 2)
    assert figures_of() == {}


@pytest.mark.parametrize(
    ("query", "question", "repeats"),
    [
        ("the disease behind G0", "What is the disease behind G0?", True),
        ("The Disease behind g0.", "What is the disease behind G0?", True),
        ("disease behind", "What is the disease behind G0?", False),
        ("disease of G0", "What is the disease behind G0?", False),
        ("behind the disease", "What is the disease behind G0?", False),
        ("克拉伯病", "克拉伯病由哪个基因引起？", True),
        ("克拉伯病基因", "克拉伯病由哪个基因引起？", False),
    ],
)
def test_a_query_that_is_a_phrase_of_the_question(query: str, question: str, repeats: bool) -> None:
    assert repeats_question(query, question) is repeats


def test_figures_are_given_by_mode_hops_specialty_source_and_style() -> None:
    trajectories = [
        dialogue(("search", "a", "x"), identifier="traj-1", question="q-1"),
        dialogue(identifier="traj-2", question="q-2", mode="exploration"),
    ]
    given = StatisticsInput(QUESTIONS, {"traj-1": 1, "traj-2": 1})
    groups = compute_statistics_by_kind(trajectories, given, "natural")
    calls = {
        group: {kind: figures["calls"] for kind, figures in kinds.items()}
        for group, kinds in groups.items()
    }
    assert calls == {
        "mode": {"exploration": Figure(0, 1), "guided": Figure(1, 1)},
        "hops": {"1": Figure(0, 1), "2": Figure(1, 1)},
        "specialty": {"hepatology": Figure(0.5, 2)},
        "source": {"hpo": Figure(0.5, 2), "orphanet": Figure(0.5, 2)},
        "style": {"natural": Figure(0.5, 2)},
    }


def test_accepted_trajectories_are_counted_by_mode_paradigm_hops_and_specialty() -> None:
    judged = [
        FilteredTrajectory(
            dialogue(
                identifier=f"traj-{number}",
                question=f"q-{number}",
                mode="guided" if number else "exploration",
            ),
            number > 1,
            (),
        )
        for number in range(4)
    ]
    assert count_accepted_by_kind(judged, QUESTIONS) == {
        "mode": {"exploration": (0, 1), "guided": (2, 3)},
        "paradigm": {"multi_hop": (2, 4)},
        "hops": {"1": (1, 2), "2": (1, 2)},
        "specialty": {"hepatology": (2, 4)},
    }


def test_figures_of_an_earlier_version_are_named_as_such() -> None:
    assert read_figures({"calls": {"value": 4.0, "n": 1}}) == {"calls": Figure(4.0, 1)}
    with pytest.raises(DataError, match="medr trajectories run"):
        read_figures({"calls": 4.0})
