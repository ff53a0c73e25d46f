"""The rules teacher: what it reads, what it asks for, how it recovers; and what the filter keeps of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from support.questions import worded_question
from werkzeug import Request, Response

from medr_ray.agent.loop import run_episode
from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.protocol import parse_reply, render_reply, render_responses
from medr_ray.core.records import GuidanceStep, Message, ToolEvent, Trajectory, Usage
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.rollouts.worker import RolloutTask
from medr_ray.trajectories.filtering import MALFORMED, NO_ANSWER, REPEATED, UNSUPPORTED, WRONG, judge_trajectory
from medr_ray.trajectories.reading import Hop, read_question, start_of
from medr_ray.trajectories.teacher import GUIDED, UNKNOWN, ChatTeacherFactory, RulesTeacher, guidance_hint

TWO_HOPS = (GuidanceStep("gene", "inverse:associated_gene", "disease", ""),
            GuidanceStep("disease", "has_finding", "phenotype", "3 of 7 patients"))
TEXT = "What is the finding in 3 of 7 patients with the disease associated with the gene FBN1?"
RECORD = "[1] Marfan syndrome (HPO:OMIM:154700): The gene associated with Marfan syndrome is FBN1."
FINDING = "[1] Marfan syndrome (HPO:OMIM:154700): The finding in 3 of 7 patients with Marfan syndrome is Tall stature."


def work_out(teacher: RulesTeacher, *observations: str) -> list[PolicyTurn]:
    messages, turns = [Message("system", ""), Message("user", TEXT)], []
    for observation in (*observations, ""):
        turn = asyncio.run(teacher.respond(messages))
        assert turn is not None
        turns.append(turn)
        messages += [Message("assistant", turn.text), Message("user", render_responses([observation]))]
        if parse_reply(turn.text).answer is not None:
            break
    return turns


def test_it_walks_the_masked_path_and_answers_from_what_it_read() -> None:
    turns = work_out(RulesTeacher(TEXT, TWO_HOPS, ["medical_search", "search"]), RECORD, FINDING)
    calls = [call for turn in turns for call in parse_reply(turn.text).calls]
    assert [call.arguments["query"] for call in calls] == [
        "disease associated with the gene FBN1", "finding in 3 of 7 patients with Marfan syndrome"]
    assert "disease associated with the gene FBN1 = Marfan syndrome" in parse_reply(turns[1].text).thought
    assert parse_reply(turns[-1].text).answer == "Tall stature"


def test_without_guidance_it_plans_from_the_wording() -> None:
    turns = work_out(RulesTeacher(TEXT, None, ["search", "medical_search"]), RECORD, FINDING)
    assert parse_reply(turns[-1].text).answer == "Tall stature"


def test_it_turns_to_the_other_tool_and_at_last_admits_defeat() -> None:
    teacher = RulesTeacher(TEXT, TWO_HOPS, ["medical_search", "search"])
    turns = work_out(teacher, "error: unavailable", "No results.", "No results.")
    assert [call.name for turn in turns for call in parse_reply(turn.text).calls] == [
        "medical_search", "search", "medical_search"]
    assert parse_reply(turns[-1].text).answer == UNKNOWN


def test_guidance_never_names_an_entity() -> None:
    hint = guidance_hint(worded_question(TEXT, "Tall stature", TWO_HOPS))
    assert "[MASK] gene, inverse:associated_gene, [MASK] disease" in hint
    assert "FBN1" not in hint
    assert "Marfan" not in hint


@pytest.mark.parametrize("name", sorted(PREDICATES))
@pytest.mark.parametrize("inverse", [False, True])
def test_every_wording_is_read_back(name: str, inverse: bool) -> None:
    predicate = PREDICATES[name]
    if inverse and (predicate.symmetric or not predicate.inverse_phrase):
        return
    clinical = "45% of patients" if predicate.prints_clinical(not inverse) else ""
    hop, start = Hop(predicate, inverse, clinical), "HIV/AIDS (type 2), X-linked"
    text = f"What is the {hop.wanted(start)}?"
    assert start_of(text, [hop]) == start
    assert read_question(text) == (start, [hop])
    known, other = start, "Ataxia, type 1.5 (mild)"
    stated = predicate.state(*((other, known) if inverse else (known, other)), clinical)
    assert hop.find(start, f"[1] x (y): {stated}") == other
    assert hop.find(start, f"[1] x (y): {stated}", visited=[other]) is None


def _trajectory(answer: str | None, *events: ToolEvent, observed: str = "The answer is Blue.") -> Trajectory:
    messages = (Message("system", ""), Message("user", "q"), Message("assistant", "<think>t</think><answer>"),
                Message("user", observed))
    return Trajectory("traj-1", "q-1", "guided", 0, messages, (), events, (), answer, "answered", Usage(0, 0, 0), None)


OK = ToolEvent("search", '{"query": "a"}', "ok", 0.1, False)


@pytest.mark.parametrize(("trajectory", "reasons"), [
    (_trajectory("Blue", OK), ()),
    (_trajectory("Red", OK), (WRONG,)),
    (_trajectory(None, OK), (f"{NO_ANSWER} (answered)",)),
    (_trajectory("Blue", OK, observed="nothing"), (UNSUPPORTED,)),
    (_trajectory("Blue", OK, OK), (REPEATED,)),
    (_trajectory("Blue", OK, ToolEvent("", "", "invalid", 0.0, False)), (MALFORMED,)),
    (_trajectory("Blue", ToolEvent("search", '{"query": "a"}', "error", 0.1, True), OK), ()),
])
def test_the_filter_names_every_reason_and_forgives_a_failed_tool(
    trajectory: Trajectory, reasons: tuple[str, ...],
) -> None:
    judged = judge_trajectory(trajectory, worded_question(answer="Blue"), too_long=False)
    assert judged.reasons == reasons
    assert judged.accepted == (not reasons)


SECRET = "sk-teacher-1234567890"


def chat_completion(text: str) -> dict[str, Any]:
    return {
        "id": "x", "object": "chat.completion", "created": 0, "model": "big",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}


@pytest.mark.slow
def test_a_chat_model_teaches_through_the_governed_client_and_its_answers_are_cached(
    ray_local: None, httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDR_LLM_API_KEY", SECRET)
    asked: list[dict[str, Any]] = []

    def answer(request: Request) -> Response:
        asked.append(json.loads(request.data))
        text = render_reply("known", answer="Tall stature") if len(asked) > 1 else "busy"
        return Response(json.dumps(chat_completion(text)), 200 if len(asked) > 1 else 503, {"retry-after": "0"})

    httpserver.expect_request("/v1/chat/completions").respond_with_handler(answer)
    config = load_config(None, [
        f"llm.base_url={httpserver.url_for('/v1')}", "llm.model=big", "llm.requests_per_minute=100000"])
    task = RolloutTask(worded_question(TEXT, "Tall stature", TWO_HOPS), GUIDED)

    def teach() -> Trajectory:
        factory = ChatTeacherFactory(config, Directory(str(tmp_path)))
        return asyncio.run(run_episode(task.question, factory(task), [], config.agent, mode=GUIDED))

    trajectory = teach()
    assert trajectory.answer == "Tall stature"
    assert len(asked) == 2  # the refused request was tried again
    assert "[MASK] gene" in asked[-1]["messages"][1]["content"]
    assert "[MASK]" not in trajectory.messages[1].content  # the hint is no part of the dialogue
    assert trajectory.usage.prompt_tokens == 9
    assert teach() == trajectory
    assert len(asked) == 2
    assert not any(SECRET.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


@pytest.mark.slow
def test_a_dialogue_too_long_for_the_chat_model_ends_at_its_token_limit(
    ray_local: None, httpserver: HTTPServer, tmp_path: Path,
) -> None:
    refusal = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}
    httpserver.expect_request("/v1/chat/completions").respond_with_json(refusal, status=400)
    config = load_config(None, [f"llm.base_url={httpserver.url_for('/v1')}", "llm.model=big"])
    task = RolloutTask(worded_question(TEXT, "Tall stature", TWO_HOPS))
    policy = ChatTeacherFactory(config, Directory(str(tmp_path)))(task)
    trajectory = asyncio.run(run_episode(task.question, policy, [], config.agent, mode=task.mode))
    assert (trajectory.answer, trajectory.stop_reason) == (None, "max_tokens")
