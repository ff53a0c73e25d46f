"""Verdicts on rare entities: each with its reason, by rules and by a model over HTTP."""

import json

import polars as pl
import pytest
from pytest_httpserver import HTTPServer

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import EntityFrequency
from medr_ray.entities.significance import Candidate, LLMJudge, RulesJudge
from medr_ray.entities.typos import is_one_edit, likely_typos
from medr_ray.llm.client import ChatClient


def _candidate(*forms: str, name: str = "Some disease", concept_id: str = "OMIM:1", documents: int = 2,
               typo_of: tuple[tuple[str, str], ...] = ()) -> Candidate:
    frequency = EntityFrequency(concept_id, name, "disease", documents, 3, documents / 1000, 0.01)
    return Candidate(frequency, "neurology", tuple((form, 1) for form in forms), 12, typo_of)


@pytest.mark.parametrize(("candidate", "verdict", "reason"), [
    (_candidate("alkaptonuria"), True, "HPO record with 12 facts; named in 2 citations"),
    (_candidate("kuru", name="Kuru"), True, "named in 2"),
    (_candidate("hfrs", "cold"), False, "ambiguous: found only as 'hfrs', 'cold'"),
    (_candidate("hfrs", "hemorrhagic fever with renal syndrome"), True, "named in"),
    (_candidate("proteinosis", typo_of=(("proteinosis", "proteinases"),)), False, "'proteinases'"),
    (_candidate("alkaptonuria", documents=1), False, "fewer than 2"),
    (_candidate("alkaptonuria", concept_id="X:1"), False, "not in a known vocabulary"),
])
def test_rules_say_why(candidate: Candidate, verdict: bool, reason: str) -> None:
    (judged,) = RulesJudge(min_documents=2).judge([candidate])
    assert (judged.verdict, judged.decided_by) == (verdict, "rules")
    assert reason in judged.reason


def test_a_rare_word_one_letter_from_a_common_one_of_another_concept_is_a_likely_typo() -> None:
    counts = pl.DataFrame({
        "concept_id": ["A", "B", "B", "C", "D"], "form": ["stroke", "stroka", "strokes", "gout", "ascites"],
        "documents": [1] * 5, "mentions": [100, 2, 3, 1, 10]})
    assert likely_typos(counts) == {"stroka": "stroke", "strokes": "stroke"}


@pytest.mark.parametrize(("first", "second", "one"), [
    ("stroke", "strokes", True), ("stroke", "strake", True), ("stroke", "stroke", False), ("stroke", "strikes", False),
    ("troke", "stroke", True), ("stroke", "tsroke", False),
])
def test_one_edit(first: str, second: str, one: bool) -> None:
    assert is_one_edit(first, second) is one
    assert is_one_edit(second, first) is one


def _reply(text: str) -> dict[str, object]:
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}


def _judge(server: HTTPServer) -> LLMJudge:
    endpoint = EndpointConfig(base_url=server.url_for("/v1"), model="m", retries=0, requests_per_minute=6000)
    return LLMJudge(ChatClient(endpoint), "m")


def test_a_model_judges_each_candidate_in_order(httpserver: HTTPServer) -> None:
    for name, significant in (("Kuru", True), ("Patient", False)):
        body = json.dumps({"significant": significant, "reason": f"about {name}"})
        httpserver.expect_ordered_request("/v1/chat/completions").respond_with_json(_reply(body))
    verdicts = [*_judge(httpserver).judge([_candidate("kuru", name="Kuru")]),
                *_judge(httpserver).judge([_candidate("patient", name="Patient")])]
    assert [(one.verdict, one.reason, one.decided_by) for one in verdicts] == [
        (True, "about Kuru", "m"), (False, "about Patient", "m")]
    asked = json.loads(httpserver.log[0][0].get_data())["messages"][-1]["content"]
    assert "Name: Kuru" in asked
    assert "Citations: 2" in asked


def test_an_unusable_reply_is_a_no_with_its_reason(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_json(_reply("certainly!"))
    (verdict,) = _judge(httpserver).judge([_candidate("kuru")])
    assert not verdict.verdict
    assert "no usable verdict" in verdict.reason


def test_an_endpoint_that_fails_is_an_error_and_no_verdict(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_data("down", status=500)
    with pytest.raises(InfrastructureError):
        _judge(httpserver).judge([_candidate("kuru")])
