"""The figures beside the paper's, on dialogues small enough to count by hand."""

import json

import pytest
from support.questions import make_question

from medr_ray.agent.protocol import ToolCall, render_reply, render_responses
from medr_ray.core.records import FilteredTrajectory, Message, ToolEvent, Trajectory, Usage
from medr_ray.trajectories.statistics import (
    PAPER_FIGURES,
    compute_statistics,
    count_accepted_by_kind,
    recovers_with_other_tool,
    starts_with_medical_search,
    switches_tools,
)

Call = tuple[str, str, str]  # tool, query, response


def dialogue(
    *calls: Call, identifier: str = "traj-1", question: str = "q-0", mode: str = "guided"
) -> Trajectory:
    messages, events = [Message("system", "s"), Message("user", "Which gene is behind ataxia?")], []
    for tool, query, response in calls:
        messages.append(
            Message("assistant", render_reply("look", [ToolCall(tool, {"query": query})]))
        )
        messages.append(Message("user", render_responses([response])))
        status = "error" if response.startswith("error") else "ok"
        events.append(ToolEvent(tool, json.dumps({"query": query}), status, 0.1, status == "error"))
    messages.append(Message("assistant", render_reply("found", answer="x")))
    return Trajectory(
        identifier,
        question,
        mode,
        0,
        tuple(messages),
        (),
        tuple(events),
        (),
        "x",
        "answered",
        Usage(0, 0, 0),
        None,
    )


MEDICAL = dialogue(("medical_search", "gene of ataxia", "GALC"))
RECOVERED = dialogue(
    ("search", "gene of ataxia", "error: down"), ("medical_search", "gene of ataxia", "GALC")
)
REPHRASED = dialogue(
    ("medical_search", "disease with ataxia and gout", "nothing"),
    ("search", "ataxia and gout: disease", "GALC"),
)
SWITCHED = dialogue(
    ("search", "gene of ataxia", "GALC"), ("medical_search", "treatment of Krabbe disease", "none")
)
STUBBORN = dialogue(
    ("search", "gene of ataxia", "error: down"), ("search", "gene of ataxia", "GALC")
)


@pytest.mark.parametrize(
    ("trajectory", "medical", "switched", "recovered"),
    [
        (MEDICAL, True, False, False),
        (RECOVERED, False, True, True),
        (REPHRASED, True, True, True),
        (SWITCHED, False, True, False),
        (STUBBORN, False, False, False),
        (dialogue(), False, False, False),
    ],
)
def test_first_tool_switches_and_recoveries(
    trajectory: Trajectory,
    medical: bool,
    switched: bool,
    recovered: bool,
) -> None:
    assert (
        starts_with_medical_search(trajectory),
        switches_tools(trajectory),
        recovers_with_other_tool(trajectory),
    ) == (
        medical,
        switched,
        recovered,
    )


def test_shares_and_means_have_the_names_of_the_paper_figures() -> None:
    trajectories = [MEDICAL, RECOVERED, REPHRASED, SWITCHED]
    figures = compute_statistics(trajectories, {"traj-1": 400})
    assert set(PAPER_FIGURES) <= set(figures)
    assert figures["starts with the medical retriever"] == 0.5
    assert figures["switches tools"] == 0.75
    assert figures["recovers by another tool"] == 0.5
    assert figures["calls"] == 1.75
    assert figures["simulated failures"] == 0.25
    assert figures["tokens"] == 400
    assert compute_statistics([], {}) == {}


def test_accepted_trajectories_are_counted_by_mode_paradigm_hops_and_specialty() -> None:
    questions = {f"q-{number}": make_question(number, hops=1 + number % 2) for number in range(4)}
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
    assert count_accepted_by_kind(judged, questions) == {
        "mode": {"exploration": (0, 1), "guided": (2, 3)},
        "paradigm": {"multi_hop": (2, 4)},
        "hops": {"1": (1, 2), "2": (1, 2)},
        "specialty": {"hepatology": (2, 4)},
    }
