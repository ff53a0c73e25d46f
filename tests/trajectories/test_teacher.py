"""The rules teacher over a real index: its searches, checks and recovery from failures; and the
chat teacher, whose guidance never reaches the dialogue."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from support.questions import with_task, worded_question, worded_task
from support.taught import load_settings, make_tools, question_with, run_teacher, thoughts_of
from werkzeug import Request, Response

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.faults import FaultPlan
from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.protocol import parse_reply, render_reply, render_responses
from medr_ray.core.records import GuidanceStep, Message, Trajectory
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.rollouts.ledger import Ledger
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.tools.base import Tool
from medr_ray.trajectories.filtering import UNKNOWN_ANSWER, find_leak, judge_trajectory
from medr_ray.trajectories.stage import build_rollout_request, plan_requests
from medr_ray.trajectories.teacher import (
    EXPLORATION,
    GUIDED,
    ChatTeacherFactory,
    RulesTeacher,
    format_guidance_hint,
)

TWO_HOPS = (
    GuidanceStep("gene", "inverse:associated_gene", "disease", ""),
    GuidanceStep("disease", "has_finding", "phenotype", "3 of 7 patients"),
)
TEXT = "What is the finding in 3 of 7 patients with the disease associated with the gene FBN1?"
RECORD = (
    "[1] Marfan syndrome (HPO:OMIM:154700): Gene: FBN1; NCBI Gene ID: 2200; Disease: OMIM:154700"
)
FINDING = (
    "[1] Marfan syndrome (HPO:OMIM:154700): Phenotypic abnormality: Tall stature; Frequency: 3/7; "
    "HPO: HP:0000098"
)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> list[Tool]:
    return make_tools(tmp_path_factory.mktemp("index"))


def run_turns(teacher: RulesTeacher, *observations: str) -> list[PolicyTurn]:
    messages, turns = [Message("system", ""), Message("user", TEXT)], []
    for observation in (*observations, ""):
        turn = asyncio.run(teacher.respond(messages))
        assert turn is not None
        turns.append(turn)
        messages += [
            Message("assistant", turn.text),
            Message("user", render_responses([observation])),
        ]
        if parse_reply(turn.text).answer is not None:
            break
    return turns


def calls_of(turns: Sequence[PolicyTurn]) -> list[tuple[str, str]]:
    return [
        (call.name, call.arguments["query"])
        for turn in turns
        for call in parse_reply(turn.text).calls
    ]


# --- one or two hops: what a small model learns ---------------------------------------


def test_guided_teacher_follows_the_masked_path_and_answers_from_responses() -> None:
    turns = run_turns(RulesTeacher(TEXT, TWO_HOPS, ["medical_search", "search"]), RECORD, FINDING)
    assert calls_of(turns) == [
        ("medical_search", "disease associated with the gene FBN1"),
        ("medical_search", "finding in 3 of 7 patients with Marfan syndrome"),
    ]
    assert [parse_reply(turn.text).thought for turn in turns] == [
        "I need the disease associated with the gene FBN1.",
        "disease associated with the gene FBN1 = Marfan syndrome. I need the finding "
        "in 3 of 7 patients with Marfan "
        "syndrome.",
        "finding in 3 of 7 patients with Marfan syndrome = Tall stature.",
    ]
    assert parse_reply(turns[-1].text).answer == "Tall stature"


def test_exploring_teacher_plans_from_the_question_and_starts_with_the_general_search() -> None:
    turns = run_turns(RulesTeacher(TEXT, None, ["search", "medical_search"]), RECORD, FINDING)
    assert calls_of(turns)[0][0] == "search"
    assert parse_reply(turns[-1].text).answer == "Tall stature"


def test_a_failed_query_goes_to_the_other_tool() -> None:
    turns = run_turns(
        RulesTeacher(TEXT, TWO_HOPS, ["medical_search", "search"]),
        "error: unavailable",
        RECORD,
        FINDING,
    )
    assert calls_of(turns)[:2] == [
        ("medical_search", "disease associated with the gene FBN1"),
        ("search", "disease associated with the gene FBN1"),
    ]
    assert (
        parse_reply(turns[1].text).thought
        == "Not found. I still need the disease associated with the gene FBN1."
    )
    assert parse_reply(turns[-1].text).answer == "Tall stature"


def test_searches_without_results_are_reworded_never_repeated_and_finally_given_up() -> None:
    turns = run_turns(
        RulesTeacher(TEXT, TWO_HOPS, ["medical_search", "search"]), *["No results."] * 9
    )
    calls = calls_of(turns)
    assert [name for name, _ in calls] == ["medical_search", "search", "medical_search"]
    assert len(set(calls)) == len(calls)
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER
    assert "disease associated with the gene FBN1" in parse_reply(turns[-1].text).thought


def test_a_tool_that_always_fails_is_given_up() -> None:
    turns = run_turns(RulesTeacher(TEXT, TWO_HOPS, ["search"]), *["error: unavailable"] * 20)
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER
    assert 1 < len(calls_of(turns)) < 10


def test_the_teacher_stops_when_no_call_is_left() -> None:
    teacher = RulesTeacher(TEXT, TWO_HOPS, ["medical_search", "search"], max_calls=1)
    turns = run_turns(teacher, RECORD)
    assert len(calls_of(turns)) == 1
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER


def test_a_question_in_unknown_words_is_answered_with_unknown() -> None:
    turns = run_turns(RulesTeacher("Which gene is behind it?", None, ["search"]))
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER


# --- every kind of question, over a real index ----------------------------------------

QUESTIONS = {
    "a clause tells two diseases apart": (
        "Begin with the disease associated with the gene FBN1 (the one whose age of "
        "onset is Adult onset). What is the "
        "finding in 80-99% of patients with that disease?",
        "Striae",
    ),
    "a comparison": (
        "What is the disease in which more than three quarters of patients show Tall stature?",
        "Marfan syndrome",
    ),
    "a described start": (
        "What is the mode of inheritance of the disease with Ectopia lentis in 3 of 7 "
        "patients and with Scoliosis in 6 "
        "of 9 patients?",
        "Autosomal dominant inheritance",
    ),
    "two walks that meet": (
        "What is both the disease associated with the gene FBN1 and the disease in "
        "which 10 of 10 patients show Short "
        "stature?",
        "Weill-Marchesani syndrome 2",
    ),
    "two walks, one with a step": (
        "Begin with the gene associated with MASS syndrome: this is gene A. What is "
        "both the other disease associated "
        "with gene A and the disease in which 9 of 9 patients show Tall stature?",
        "Marfan syndrome",
    ),
    "a share": (
        (
            "In what share of patients with the disease associated with the gene CBS is "
            "Tall stature found?"
        ),
        "2 of 9 patients",
    ),
    "the earliest onset": (
        (
            "Of the diseases associated with the gene FBN1 whose age of onset is stated, "
            "which begins earliest in life?"
        ),
        "Weill-Marchesani syndrome 2",
    ),
    "the largest share": (
        "Of the diseases associated with the gene FBN1 for which the share of patients "
        "with Ectopia lentis is stated, "
        "which shows it in the largest share of patients?",
        "Weill-Marchesani syndrome 2",
    ),
    "a finding that another disease shows as well": (
        "Begin with the finding in 9 of 9 patients with Marfan syndrome (the one that "
        "fewer than a quarter of patients "
        "with Homocystinuria show). What is the disease in which 2 of 9 patients show "
        "that finding?",
        "Homocystinuria",
    ),
}


@pytest.mark.parametrize("kind", QUESTIONS)
@pytest.mark.parametrize("guided", [True, False])
def test_every_kind_of_question_is_answered_and_accepted(
    tools: list[Tool], kind: str, guided: bool
) -> None:
    text, answer = QUESTIONS[kind]
    trajectory = run_teacher(tools, text, _guidance(text) if guided else None)
    assert trajectory.answer == answer
    judged = judge_trajectory(trajectory, question_with(text, answer).task, 0, 1)
    assert judged.reasons == ()


def _guidance(text: str) -> tuple[GuidanceStep, ...]:
    from medr_ray.knowledge.predicates import directed_name
    from medr_ray.trajectories.solver.question_reader import read_question

    plan = read_question(text)
    assert plan is not None
    return tuple(
        GuidanceStep(
            "",
            hop.directed_predicate,
            "",
            hop.clinical,
            tuple(directed_name(clause.predicate.name, clause.forward) for clause in hop.also),
        )
        for hop in plan.hops
    )


def test_chinese_questions_get_chinese_thoughts(tools: list[Tool]) -> None:
    text = (
        "从基因FBN1出发。取与基因FBN1相关的疾病（其发病年龄为Adult onset）。"
        "该疾病在80-99%的患者中出现的表现是什么？"
    )
    trajectory = run_teacher(tools, text, language="zh")
    assert trajectory.answer == "Striae"
    assert thoughts_of(trajectory)[0] == "我需要查与基因FBN1相关的疾病（其发病年龄为Adult onset）。"
    assert "= MASS syndrome。" in " ".join(thoughts_of(trajectory))


def test_several_candidates_are_checked_in_turn() -> None:
    text = (
        "Begin with the disease associated with the gene ABC1 (the one whose age of "
        "onset is Adult onset). What is "
        "the mode of inheritance of that disease?"
    )
    hits = "\n".join(
        f"[{number}] {name} (HPO:OMIM:{number}): Gene: ABC1; NCBI Gene ID: 1"
        for number, name in enumerate(("Alpha", "Beta", "Gamma"), 1)
    )
    turns = run_turns(
        RulesTeacher(text, None, ["medical_search", "search"]),
        hits,
        "[1] Alpha (HPO:OMIM:1): Onset: Childhood onset",
        "[1] Beta (HPO:OMIM:2): Onset: Adult onset",
        "[1] Beta (HPO:OMIM:2): Inheritance: X-linked inheritance",
    )
    assert [parse_reply(turn.text).thought.partition(".")[0] for turn in turns[1:3]] == [
        "Candidate: Alpha",
        "Candidate: Beta",
    ]
    assert [query for _, query in calls_of(turns)[1:3]] == [
        "The age of onset of Alpha is Adult onset.",
        "The age of onset of Beta is Adult onset.",
    ]
    assert (
        "(the one whose age of onset is Adult onset) = Beta." in parse_reply(turns[3].text).thought
    )
    assert parse_reply(turns[-1].text).answer == "X-linked inheritance"


def test_a_candidate_that_leads_nowhere_is_replaced_by_the_next(tmp_path: Path) -> None:
    records = {
        "Alpha": [("associated_gene", "ABC1", "")],
        "Beta": [("associated_gene", "ABC1", ""), ("has_onset", "Adult onset", "")],
    }
    trajectory = run_teacher(
        make_tools(tmp_path, records),
        "What is the age of onset of the disease associated with the gene ABC1?",
    )
    assert trajectory.answer == "Adult onset"
    assert "gene ABC1 = Alpha" in " ".join(thoughts_of(trajectory))
    assert "gene ABC1 = Beta" in " ".join(thoughts_of(trajectory))


def test_a_finding_may_have_the_name_of_its_disease(tmp_path: Path) -> None:
    records = {
        "Tricuspid atresia": [("has_finding", "Tricuspid atresia", "all patients")],
        "Valvular defect": [("has_finding", "Tricuspid atresia", "2 of 6 patients")],
    }
    trajectory = run_teacher(
        make_tools(tmp_path, records),
        "Begin with the finding in all patients with Tricuspid atresia. "
        "What is the disease in which 2 of 6 patients show that finding?",
    )
    assert trajectory.answer == "Valvular defect"


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.6])
def test_simulated_failures_are_recovered_from(tools: list[Tool], rate: float) -> None:
    text, answer = QUESTIONS["a clause tells two diseases apart"]
    trajectories = [
        run_teacher(
            tools,
            text,
            faults=FaultPlan(rate, seed),
            config=load_settings("agent.max_tool_calls=24"),
        )
        for seed in range(12)
    ]
    failed = [
        trajectory
        for trajectory in trajectories
        if any(event.simulated_failure for event in trajectory.tool_events)
    ]
    right = [trajectory for trajectory in failed if trajectory.answer == answer]
    assert failed
    assert len(right) >= (0.9 if rate < 0.5 else 0.5) * len(failed)
    assert {
        reason
        for trajectory in right
        for reason in judge_trajectory(trajectory, question_with(text, answer).task, 0, 1).reasons
    } == set()


# --- guidance -------------------------------------------------------------------------


def test_guidance_never_names_an_entity() -> None:
    step = GuidanceStep("gene", "inverse:associated_gene", "disease", "", ("has_onset",))
    assert "[MASK] disease; told of it: has_onset)" in format_guidance_hint((step,), "en")
    hint = format_guidance_hint(TWO_HOPS, "en")
    assert "[MASK] gene, inverse:associated_gene, [MASK] disease" in hint
    assert "FBN1" not in hint
    assert "Marfan" not in hint


@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_the_filter_recognises_every_guidance_hint(name: str) -> None:
    step = GuidanceStep("disease", name, "gene", "")
    assert find_leak(format_guidance_hint((step,), "en"))
    assert find_leak(f"the {name} of it")


def test_the_mode_is_drawn_for_each_rollout_of_each_question() -> None:
    questions = [
        with_task(question_with(f"What is {number}?", "x"), task_id=f"q-{number}")
        for number in range(400)
    ]
    config = load_config(None, ["trajectories.rollouts_per_question=3"], environment={})
    requests = plan_requests(questions, config)
    assert requests == plan_requests(questions, config)
    guided = sum(request.mode == GUIDED for request in requests)
    assert 0.66 < guided / len(requests) < 0.74  # the paper's 0.7
    mixed = [
        number
        for number in range(400)
        if {request.mode for request in requests[3 * number : 3 * number + 3]}
        == {GUIDED, EXPLORATION}
    ]
    assert len(mixed) > 150
    assert len({request.key for request in requests}) == len(requests)


def test_saved_rows_contain_no_guidance(tools: list[Tool], tmp_path: Path) -> None:
    text, answer = QUESTIONS["a clause tells two diseases apart"]
    trajectories = [
        run_teacher(tools, text, _guidance(text), answer=answer),
        run_teacher(tools, text, answer=answer),
    ]
    directory = Directory(str(tmp_path))
    list(
        Ledger(directory, 8).record(
            RolloutOutcome(
                RolloutRequest(question_with(text, answer).task, trajectory.mode, number),
                trajectory,
            )
            for number, trajectory in enumerate(trajectories)
        )
    )
    rows = Ledger(directory, 8).done()
    assert {row.mode for row in rows} == {GUIDED, EXPLORATION}
    assert [find_leak(message.content) for row in rows for message in row.messages] == [""] * sum(
        len(row.messages) for row in rows
    )


# --- the chat teacher -----------------------------------------------------------------

SECRET = "sk-teacher-1234567890"


def chat_completion(text: str) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "big",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }


@pytest.mark.slow
def test_the_chat_teacher_uses_the_governed_client_and_caches_replies(
    ray_local: None,
    httpserver: HTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDR_LLM_API_KEY", SECRET)
    requests: list[dict[str, Any]] = []

    def answer(request: Request) -> Response:
        requests.append(json.loads(request.data))
        text = render_reply("known", answer="Tall stature") if len(requests) > 1 else "busy"
        return Response(
            json.dumps(chat_completion(text)),
            200 if len(requests) > 1 else 503,
            {"retry-after": "0"},
        )

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    config = load_config(
        None,
        [
            f"llm.base_url={httpserver.url_for('/v1')}",
            "llm.model=big",
            "llm.requests_per_minute=100000",
        ],
    )
    request = build_rollout_request(worded_question(TEXT, "Tall stature", TWO_HOPS), GUIDED, 0)

    def run_taught_episode() -> Trajectory:
        factory = ChatTeacherFactory(config, Directory(str(tmp_path)))
        return asyncio.run(
            run_episode(request.task, factory(request), [], config.agent, mode=GUIDED)
        )

    trajectory = run_taught_episode()
    assert trajectory.answer == "Tall stature"
    assert len(requests) == 2  # the refused request was tried again
    assert "[MASK] gene" in requests[-1]["messages"][1]["content"]
    assert [find_leak(message.content) for message in trajectory.messages] == [
        ""
    ] * 3  # the hint is no part of the dialogue
    assert trajectory.usage.prompt_tokens == 9
    assert run_taught_episode() == trajectory
    assert len(requests) == 2
    assert not any(
        SECRET.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()
    )


@pytest.mark.slow
def test_a_dialogue_too_long_for_the_chat_model_ends_at_its_token_limit(
    ray_local: None,
    httpserver: HTTPServer,
    tmp_path: Path,
) -> None:
    refusal = {
        "error": {
            "message": "too long",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
        }
    }
    httpserver.expect_request("/v1/chat/completions").respond_with_json(refusal, status=400)
    config = load_config(None, [f"llm.base_url={httpserver.url_for('/v1')}", "llm.model=big"])
    request = RolloutRequest(worded_task(TEXT, "Tall stature"))
    policy = ChatTeacherFactory(config, Directory(str(tmp_path)))(request)
    trajectory = asyncio.run(run_episode(request.task, policy, [], config.agent, mode=request.mode))
    assert (trajectory.answer, trajectory.stop_reason) == (None, "max_tokens")
