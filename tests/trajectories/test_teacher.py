"""The rules teacher over real records: what it reads, searches and says, and how it recovers from
failures; and the chat teacher, whose guidance never reaches the dialogue."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from support.questions import with_task, worded_question, worded_task
from support.taught import (
    SCORE_E,
    guidance_of,
    load_settings,
    make_tools,
    plan_of,
    question_with,
    run_teacher,
    thoughts_of,
    word_plan,
)
from werkzeug import Request, Response

from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.faults import FaultPlan
from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.protocol import parse_reply, render_reply, render_responses
from medr_ray.core.records import Message, Trajectory
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.rollouts.ledger import Ledger
from medr_ray.rollouts.outcomes import RolloutOutcome
from medr_ray.rollouts.worker import RolloutRequest
from medr_ray.tools.base import Tool
from medr_ray.trajectories.filtering import UNKNOWN_ANSWER, find_leak, judge_trajectory
from medr_ray.trajectories.solver.solver import Toolset
from medr_ray.trajectories.stage import build_rollout_request, plan_requests
from medr_ray.trajectories.teacher import (
    EXPLORATION,
    GUIDED,
    ChatTeacherFactory,
    RulesTeacher,
    format_guidance_hint,
)

TWO_HOPS = plan_of("drug_of_trial", "liver_injury_likelihood_of_drug", named=["NCT:NCT00367016"])
TEXT = word_plan(TWO_HOPS)
BOTH = Toolset(("medical_search", "search"), sources=("registries",))
TRIAL = (
    "[1] Immunologic Basis of Anti-IgE Therapy (NCT:NCT00367016): interventions name: Omalizumab; "
    "intervention_type: DRUG"
)
MONOGRAPH = (
    "[1] Omalizumab - LiverTox - NCBI Bookshelf (LIVERTOX:Omalizumab): hepatotoxicity: Likelihood "
    "score: E (unlikely cause of clinically apparent liver injury); value: E"
)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> list[Tool]:
    return make_tools(tmp_path_factory.mktemp("index"), "agent.tools=[search,medical_search,read]")


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


def calls_of(turns: Sequence[PolicyTurn]) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for turn in turns for call in parse_reply(turn.text).calls]


# --- what a small model learns --------------------------------------------------------


def test_guided_teacher_states_each_result_before_the_next_call() -> None:
    turns = run_turns(RulesTeacher(TEXT, guidance_of(TWO_HOPS), BOTH), TRIAL, MONOGRAPH)
    assert [(name, arguments["source"]) for name, arguments in calls_of(turns)] == [
        ("medical_search", "registries"),
        ("medical_search", "registries"),
    ]
    assert "NCT00367016" in calls_of(turns)[0][1]["query"]
    assert "Omalizumab" in calls_of(turns)[1][1]["query"]
    thoughts = [parse_reply(turn.text).thought for turn in turns]
    assert "the drug of NCT00367016" in thoughts[0]
    assert thoughts[1].startswith("drug of NCT00367016 = Omalizumab. ")
    assert "the liver injury score of Omalizumab" in thoughts[1]
    assert thoughts[2] == "liver injury score of Omalizumab = E."
    assert parse_reply(turns[-1].text).answer == "E"


def test_exploring_teacher_reads_the_question_and_starts_with_the_general_search() -> None:
    turns = run_turns(RulesTeacher(TEXT, None, Toolset(("search",))), TRIAL, MONOGRAPH)
    assert calls_of(turns)[0][0] == "search"
    assert parse_reply(turns[-1].text).answer == "E"


def test_an_error_is_named_as_such_and_the_call_goes_to_the_other_tool() -> None:
    teacher = RulesTeacher(TEXT, guidance_of(TWO_HOPS), BOTH)
    turns = run_turns(teacher, "error: unavailable", TRIAL, MONOGRAPH)
    first, second = calls_of(turns)[:2]
    assert (first[0], second[0]) == ("medical_search", "search")
    assert first[1]["query"] == second[1]["query"]
    assert "error" in parse_reply(turns[1].text).thought
    assert parse_reply(turns[-1].text).answer == "E"


def test_searches_without_results_are_reworded_never_repeated_and_finally_given_up() -> None:
    turns = run_turns(RulesTeacher(TEXT, None, BOTH), *["No results."] * 9)
    queries = [arguments["query"] for _, arguments in calls_of(turns)]
    assert len(set(queries)) == len(queries) > 1
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER
    assert "the drug of NCT00367016" in parse_reply(turns[-1].text).thought


def test_a_tool_that_always_fails_is_given_up() -> None:
    turns = run_turns(RulesTeacher(TEXT, None, BOTH), *["error: unavailable"] * 20)
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER
    assert 1 < len(calls_of(turns)) < 12


def test_the_teacher_stops_when_no_call_is_left() -> None:
    turns = run_turns(RulesTeacher(TEXT, None, BOTH, max_calls=1), TRIAL)
    assert len(calls_of(turns)) == 1
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER


def test_a_question_in_unknown_words_is_answered_with_unknown() -> None:
    turns = run_turns(RulesTeacher("Which gene is behind it?", None, BOTH))
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER


# --- every family of steps, over a real index -----------------------------------------

# The plan, the answer as the records print it, and the type of the answer.
QUESTIONS = {
    "a field of a trial": (
        plan_of("participants_of_trial", named=["NCT:NCT01781637"]), "36", "number",
    ),
    "a trial's drug, application and sponsor": (
        plan_of(
            "drug_of_trial",
            "first_application_for_drug",
            "sponsor_of_application",
            named=["NCT:NCT01781637"],
        ),
        "GENENTECH",
        "company",
    ),
    "a trial's drug and its liver safety": (TWO_HOPS, "E", "category"),
    "a rare disease and its gene": (
        plan_of("gene_of_disease", named=["OMIM:310600"]), "NDP", "gene",
    ),
    "a gene, its disease and its inheritance": (
        plan_of("disease_of_gene", "inheritance_of_disease", named=["GENE:GALC"]),
        "Autosomal recessive inheritance",
        "value",
    ),
    "what Orphanet says of a disease": (
        plan_of("onset_of_disease", named=["ORPHA:331190"]), "Childhood", "category",
    ),
    "a paper and its trial": (
        plan_of("trial_of_paper", "sponsor_of_trial", named=["PMID:17208602"]),
        "University of North Carolina, Chapel Hill",
        "company",
    ),
    "two drugs compared": (
        plan_of("earlier_approved_drug", named=["DRUG:erlotinib", "DRUG:temozolomide"]),
        "temozolomide",
        "drug",
    ),
    "a difference": (
        plan_of("years_between_approvals", named=["DRUG:erlotinib", "DRUG:temozolomide"]),
        "5 years",
        "number",
    ),
    "a field that a record does not have": (
        plan_of("missing_collaborator_of_trial", named=["NCT:NCT00367016"]),
        "not recorded",
        "institution",
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", QUESTIONS)
@pytest.mark.parametrize("guided", [True, False])
def test_every_family_of_questions_is_answered_in_three_calls_and_accepted(
    tools: list[Tool], family: str, guided: bool
) -> None:
    plan, answer, answer_type = QUESTIONS[family]
    text = word_plan(plan)
    trajectory = run_teacher(tools, text, guidance_of(plan) if guided else None)
    assert trajectory.answer == answer
    assert 1 <= len(trajectory.tool_events) <= 3
    task = question_with(text, answer, answer_type=answer_type).task
    assert judge_trajectory(trajectory, task, 0, 1).reasons == ()


def test_chinese_questions_get_chinese_thoughts(tools: list[Tool]) -> None:
    trajectory = run_teacher(tools, word_plan(TWO_HOPS, "zh"), language="zh")
    assert trajectory.answer == "E"
    assert "NCT00367016的药物 = Omalizumab。" in " ".join(thoughts_of(trajectory))
    missing = plan_of("missing_collaborator_of_trial", named=["NCT:NCT00367016"])
    assert run_teacher(tools, word_plan(missing, "zh"), language="zh").answer == "未登记"


def test_every_form_of_a_question_is_read_as_its_plan_alone(tools: list[Tool]) -> None:
    answers = {
        run_teacher(tools, word_plan(TWO_HOPS, language, form), language=language).answer
        for language in ("en", "zh")
        for form in range(6)
    }
    assert answers == {"E"}


def test_a_named_value_tells_the_drugs_of_a_trial_apart() -> None:
    plan = plan_of("drug_of_trial_with_score", named=["NCT:NCT00367016", SCORE_E])
    trial = f"{TRIAL} interventions name: Erlotinib; intervention_type: DRUG"
    other = MONOGRAPH.replace("Omalizumab", "Erlotinib").replace(": E", ": B")
    turns = run_turns(RulesTeacher(word_plan(plan), None, BOTH), trial, other, MONOGRAPH, MONOGRAPH)
    assert parse_reply(turns[-1].text).answer == "Omalizumab"


def test_a_record_that_was_shown_without_the_line_is_read() -> None:
    plan = plan_of("participants_of_trial", named=["NCT:NCT00367016"])
    turns = run_turns(
        RulesTeacher(word_plan(plan), None, Toolset(("search",), can_read=True)),
        TRIAL,
        "Immunologic Basis of Anti-IgE Therapy (NCT:NCT00367016)\n"
        '[1] "masking: DOUBLE enrollment count: 6; count_type: ACTUAL conditions: Asthma"',
    )
    assert [name for name, _ in calls_of(turns)] == ["search", "read"]
    assert calls_of(turns)[1][1]["url"] == "NCT:NCT00367016"
    assert parse_reply(turns[-1].text).answer == "6"


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.6])
def test_simulated_failures_are_recovered_from(tools: list[Tool], rate: float) -> None:
    trajectories = [
        run_teacher(
            tools,
            TEXT,
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
    right = [trajectory for trajectory in failed if trajectory.answer == "E"]
    assert failed
    assert len(right) >= (0.9 if rate < 0.5 else 0.5) * len(failed)
    task = question_with(TEXT, "E", answer_type="category").task
    assert {
        reason
        for trajectory in right
        for reason in judge_trajectory(trajectory, task, 0, 1).reasons
    } == set()


# --- guidance -------------------------------------------------------------------------


def test_guidance_never_names_an_entity() -> None:
    hint = format_guidance_hint(guidance_of(TWO_HOPS), "en")
    assert "([MASK] trial, drug_of_trial, [MASK] drug)" in hint
    assert "NCT00367016" not in hint


def test_guidance_of_another_plan_makes_the_question_unread() -> None:
    other = plan_of("sponsor_of_trial", named=["NCT:NCT00367016"])
    turns = run_turns(RulesTeacher(TEXT, guidance_of(other), BOTH))
    assert parse_reply(turns[-1].text).answer == UNKNOWN_ANSWER


@pytest.mark.parametrize("kind", sorted(STEP_KINDS))
def test_the_filter_recognises_every_guidance_hint(kind: str) -> None:
    assert find_leak(format_guidance_hint(guidance_of(plan_of(kind, named=["x"])), "en"))
    assert find_leak(f"the {kind} of it")


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
    trajectories = [
        run_teacher(tools, TEXT, guidance_of(TWO_HOPS), answer="E"),
        run_teacher(tools, TEXT, answer="E"),
    ]
    directory = Directory(str(tmp_path))
    list(
        Ledger(directory, 8).record(
            RolloutOutcome(
                RolloutRequest(question_with(TEXT, "E").task, trajectory.mode, number), trajectory
            )
            for number, trajectory in enumerate(trajectories)
        )
    )
    rows = Ledger(directory, 8).done()
    assert {row.mode for row in rows} == {GUIDED, EXPLORATION}
    assert {find_leak(message.content) for row in rows for message in row.messages} == {""}


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
        text = render_reply("known", answer="E") if len(requests) > 1 else "busy"
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
    request = build_rollout_request(worded_question(TEXT, "E", guidance_of(TWO_HOPS)), GUIDED, 0)

    def run_taught_episode() -> Trajectory:
        factory = ChatTeacherFactory(config, Directory(str(tmp_path)))
        return asyncio.run(
            run_episode(request.task, factory(request), [], config.agent, mode=GUIDED)
        )

    trajectory = run_taught_episode()
    assert trajectory.answer == "E"
    assert len(requests) == 2  # the refused request was tried again
    assert "[MASK] trial" in requests[-1]["messages"][1]["content"]
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
    request = RolloutRequest(worded_task(TEXT, "E"))
    policy = ChatTeacherFactory(config, Directory(str(tmp_path)))(request)
    trajectory = asyncio.run(run_episode(request.task, policy, [], config.agent, mode=request.mode))
    assert (trajectory.answer, trajectory.stop_reason) == (None, "max_tokens")
