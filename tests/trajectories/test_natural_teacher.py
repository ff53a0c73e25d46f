"""The natural style of the rules teacher: what a dialogue says and does, over real records."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.taught import (
    guidance_of,
    load_settings,
    make_tools,
    plan_of,
    run_teacher,
    thoughts_of,
    word_plan,
)

from medr_ray.agent.answer_checks import count_verification
from medr_ray.agent.faults import FaultPlan
from medr_ray.agent.protocol import parse_reply, render_responses
from medr_ray.core.records import Message, Trajectory
from medr_ray.questions.plans import PlanNode
from medr_ray.tools.base import Tool
from medr_ray.trajectories.filtering import find_leak
from medr_ray.trajectories.solver.solver import Toolset
from medr_ray.trajectories.teacher import RulesTeacher

NATURAL = (
    "trajectories.style=natural",
    "retrieval.results=10",
    "retrieval.snippet_sentences=5",
    "retrieval.snippet_chars=400",
    "agent.max_tool_calls=24",
    "agent.observation_chars=6000",
    "agent.tools=[search,medical_search,read]",
)
TWO_HOPS = plan_of("drug_of_trial", "liver_injury_likelihood_of_drug", named=["NCT:NCT00367016"])
TWO_DRUGS = plan_of("earlier_approved_drug", named=["DRUG:erlotinib", "DRUG:temozolomide"])
ONSET = plan_of("onset_of_disease", named=["ORPHA:331190"])
PLANS = {"two hops": TWO_HOPS, "two drugs": TWO_DRUGS, "one record": ONSET}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> list[Tool]:
    folder: Path = tmp_path_factory.mktemp("index")
    return make_tools(folder, *NATURAL)


def play(tools: list[Tool], name: str, rate: float = 0.0, language: str = "en") -> Trajectory:
    plan = PLANS[name]
    return run_teacher(
        tools,
        word_plan(plan, language),  # type: ignore[arg-type]
        guidance_of(plan),
        language=language,  # type: ignore[arg-type]
        faults=FaultPlan(rate, 7),
        config=load_settings(*NATURAL),
    )


@pytest.mark.parametrize("name", PLANS)
def test_a_candidate_is_checked_before_it_is_the_answer(tools: list[Tool], name: str) -> None:
    trajectory = play(tools, name)
    assert trajectory.answer in ("E", "temozolomide", "Childhood")
    candidates = [
        hypothesis for hypothesis in trajectory.hypotheses if hypothesis.kind == "candidate"
    ]
    assert candidates[-1].text == trajectory.answer
    # The reply that states it has a call, so it is not the last.
    assert candidates[-1].reply < len(thoughts_of(trajectory)) - 1


def test_a_value_is_checked_by_its_name(tools: list[Tool]) -> None:
    assert count_verification(play(tools, "one record")).rounds >= 1


@pytest.mark.parametrize("name", PLANS)
def test_the_last_thought_cites_documents_that_were_shown(tools: list[Tool], name: str) -> None:
    trajectory = play(tools, name)
    cited = re.findall(r"[A-Z-]+:[A-Za-z0-9:_]+", thoughts_of(trajectory)[-1])
    shown_ids = {document for event in trajectory.tool_events for document in event.documents}
    assert cited
    assert set(cited) <= shown_ids


def test_independent_look_ups_go_into_one_reply(tools: list[Tool]) -> None:
    trajectory = play(tools, "two drugs")
    first = next(m.content for m in trajectory.messages if m.role == "assistant")
    queries = [call.arguments["query"] for call in parse_reply(first).calls]
    assert len(queries) == 2
    assert "erlotinib" in " ".join(queries)
    assert "temozolomide" in " ".join(queries)


def test_an_outage_is_no_absence_and_is_tried_again(tools: list[Tool]) -> None:
    trajectory = play(tools, "two hops", rate=0.5)
    statuses = [event.status for event in trajectory.tool_events]
    assert "error" in statuses
    thoughts = " ".join(thoughts_of(trajectory))
    assert trajectory.answer == "E"
    assert "Not found" not in thoughts


def test_no_query_repeats_the_question_and_no_thought_has_guidance(tools: list[Tool]) -> None:
    for name in PLANS:
        trajectory = play(tools, name)
        question = trajectory.messages[1].content.casefold()
        for message in trajectory.messages:
            assert not find_leak(message.content)
            for call in parse_reply(message.content).calls if message.role == "assistant" else ():
                query = str(call.arguments.get("query", "")).casefold()
                assert query not in question or not query


def test_equal_questions_give_equal_dialogues_and_others_other_words(tools: list[Tool]) -> None:
    assert play(tools, "two hops").messages == play(tools, "two hops").messages
    assert thoughts_of(play(tools, "two hops"))[0] != thoughts_of(play(tools, "one record"))[0]


def test_chinese_questions_get_chinese_thoughts(tools: list[Tool]) -> None:
    trajectory = play(tools, "two drugs", language="zh")
    assert all(re.search("[\u4e00-\u9fff]", thought) for thought in thoughts_of(trajectory))
    assert trajectory.answer == "temozolomide"


# --- what was read, in scripted responses ---------------------------------------------

GENERICS = plan_of("generic_applications_of_drug", named=["DRUG:carboplatin"])
SPONSOR = plan_of("sponsor_of_application", named=["FDA:NDA020452"])
# Without an end of text: the record was shown as a whole.
MARKETED = (
    "[1] ANDA077096 CARBOPLATIN (FDA:ANDA077096, as of 2019): active ingredient: CARBOPLATIN; of: "
    "CARBOPLATIN (ANDA077096/001) marketing status lookup: Prescription; of: CARBOPLATIN "
    "(ANDA077096/001)"
)
DISCONTINUED = MARKETED.replace("ANDA077096", "ANDA077269").replace("Prescription", "Discontinued")
WITHOUT_STATUS = (
    f"{DISCONTINUED.replace('ANDA077269', 'ANDA077244')} active ingredient: CARBOPLATIN; of: "
    "CARBOPLATIN (ANDA077244/002)"
)
CUT = f"{DISCONTINUED.replace('ANDA077269', 'ANDA077244')} marketing status…"


def run_script(plan: PlanNode, *responses: str | Sequence[str]) -> list[str]:
    """The replies of a guided teacher to responses, one or several a reply; nothing is found after
    them."""
    text = word_plan(plan)
    teacher = RulesTeacher(
        text,
        guidance_of(plan),
        Toolset(("medical_search", "search"), True, ("registries",)),
        style="natural",
    )
    messages = [Message("system", ""), Message("user", text)]
    replies = []
    for response in (*responses, *["No results."] * 9):
        turn = asyncio.run(teacher.respond(messages))
        assert turn is not None
        replies.append(turn.text)
        parsed = parse_reply(turn.text)
        if parsed.answer is not None:
            break
        returned = [response] if isinstance(response, str) else [*response]
        returned += ["No results."] * (len(parsed.calls) - len(returned))
        messages += [Message("assistant", turn.text), Message("user", render_responses(returned))]
    return replies


def test_a_count_names_what_counts_and_what_does_not() -> None:
    replies = run_script(GENERICS, f"{MARKETED}\n{DISCONTINUED}")
    thoughts = [parse_reply(reply).thought for reply in replies]
    assert parse_reply(replies[-1]).answer == "1 applications"
    # Said where it was counted, and not again.
    assert "ANDA077269" in thoughts[1]
    assert not any("ANDA077269" in thought for thought in thoughts[2:])
    assert "(FDA:ANDA077096)" in thoughts[-1]


@pytest.mark.parametrize("hit", [CUT, WITHOUT_STATUS])
def test_a_status_that_was_not_shown_is_read_before_it_decides_a_count(hit: str) -> None:
    status = (
        "ANDA077244 CARBOPLATIN (FDA:ANDA077244, as of 2019)\n"
        '[1] "marketing status lookup: Discontinued; of: CARBOPLATIN (ANDA077244/001) marketing '
        'status lookup: Prescription; of: CARBOPLATIN (ANDA077244/002)"'
    )
    found = f"{MARKETED}\n{hit}"
    replies = run_script(GENERICS, found, found, status)
    assert [parse_reply(reply).calls[0].name for reply in replies[:3]][-1] == "read"
    assert "FDA:ANDA077244" in parse_reply(replies[2]).calls[0].arguments["url"]
    assert parse_reply(replies[-1]).answer == "2 applications"


def test_dates_that_decide_are_set_against_each_other(tools: list[Tool]) -> None:
    thoughts = " ".join(thoughts_of(play(tools, "two drugs")))
    assert "erlotinib: 2004; temozolomide: 1999" in thoughts


def test_a_second_source_that_was_shown_already_is_not_asked_again() -> None:
    hit = "[1] NDA020452 PARAPLATIN (FDA:NDA020452, as of 2019): sponsor name: CORDEN PHARMA"
    listing = (
        "[2] NDA020452 PARAPLATIN (ORANGE-BOOK:NDA020452, as of 2018): applicant full name: CORDEN "
        "PHARMA; of: PARAPLATIN (NDA020452/001)"
    )
    asked = " ".join(run_script(SPONSOR, f"{hit}\n{listing}"))
    unasked = " ".join(run_script(SPONSOR, hit, listing.replace("[2]", "[1]")))
    assert "Orange Book NDA020452" not in asked
    assert "Orange Book NDA020452" in unasked
    assert "ORANGE-BOOK:NDA020452" in unasked.rpartition("<think>")[2]


def test_a_check_without_a_result_leaves_one_source_and_says_so() -> None:
    hit = "[1] NDA020452 PARAPLATIN (FDA:NDA020452, as of 2019): sponsor name: CORDEN PHARMA"
    *_, check, last = run_script(SPONSOR, hit)
    assert parse_reply(check).calls
    assert parse_reply(last).answer == "CORDEN PHARMA"


def test_a_date_that_a_registry_stated_first_is_not_confirmed_by_that_registry() -> None:
    plan = plan_of("approval_year_of_drug", named=["DRUG:carboplatin"])
    approval = (
        "[1] NDA020452 PARAPLATIN (FDA:NDA020452, as of 2019): submission status date: 1989-03-03 "
        "active ingredient: CARBOPLATIN; of: PARAPLATIN (NDA020452/001)"
    )
    replies = run_script(plan, approval, approval)
    assert parse_reply(replies[-1]).answer == "1989"
    queries = [
        call.arguments.get("query", "") for reply in replies for call in parse_reply(reply).calls
    ]
    assert any("LiverTox" in query for query in queries)
    assert not any("original application" in query for query in queries)
