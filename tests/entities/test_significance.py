"""Verdicts on rare entities: each with its reason, by rules and by a model over HTTP."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.records import EntityFrequency, EntityType
from medr_ray.core.run import Directory
from medr_ray.entities.seed_candidates import SeedCandidate, SeedJudgement
from medr_ray.entities.significance import (
    LLMSignificanceJudge,
    RulesSignificanceJudge,
    VerdictsReply,
    read_verdicts,
)
from medr_ray.governor import actor as governor_actor
from medr_ray.governor.actor import LocalGovernorClient
from medr_ray.governor.budget import BudgetExceeded
from medr_ray.knowledge.prevalence import Prevalence
from medr_ray.knowledge.rare_diseases import RareListing
from medr_ray.knowledge.specialty import SPECIALTIES
from medr_ray.llm import client as client_module
from medr_ray.llm.client import ChatClient

_LISTED = RareListing("ORPHA:56", "Orphanet")


def _make_prevalence(value: float, place: str = "Europe") -> Prevalence:
    return Prevalence(
        "ORPHA:56", "Some disease", value, "Point prevalence", place, True, True, "1[PMID]"
    )


def _make_candidate(
    *forms: str,
    name: str = "Some disease",
    concept_id: str = "OMIM:1",
    documents: int = 2,
    typo_of: tuple[tuple[str, str], ...] = (),
    general: str = "",
    entity_type: EntityType = "disease",
    prevalence: Prevalence | None = None,
    listing: RareListing | None = _LISTED,
) -> SeedCandidate:
    frequency = EntityFrequency(
        concept_id, name, entity_type, documents, 3, documents / 1000, 0.001, 0.01
    )
    return SeedCandidate(
        frequency,
        "neurology",
        tuple((form, 1) for form in forms),
        12,
        typo_of,
        general,
        prevalence,
        listing,
    )


@pytest.mark.parametrize(
    ("candidate", "verdict", "reason"),
    [
        (
            _make_candidate("alkaptonuria"),
            True,
            "HPO record with 12 facts; a rare disease of Orphanet (ORPHA:56); "
            "named in 2 citations (3 mentions), mostly as 'alkap",
        ),
        (_make_candidate("alkaptonuria", concept_id="LOCAL:1"), True, "in LOCAL, an HPO record"),
        (_make_candidate("kuru", name="Kuru"), True, "named in 2"),
        (_make_candidate("hfrs", "cold"), False, "ambiguous: found only as 'hfrs', 'cold'"),
        (_make_candidate("hfrs", "hemorrhagic fever with renal syndrome"), True, "named in"),
        (
            _make_candidate("proteinosis", typo_of=(("proteinosis", "proteinases"),)),
            False,
            "'proteinases'",
        ),
        (
            _make_candidate(
                "proteinosis", "alveolar lipoid", typo_of=(("proteinosis", "proteinases"),)
            ),
            True,
            "named in",
        ),
        (_make_candidate("alkaptonuria", documents=1), False, "named in 1 citation, fewer than 2"),
        (_make_candidate("alkaptonuria", concept_id="X1"), False, "in no vocabulary: X1"),
        (
            _make_candidate("syndrome", general="it names nothing"),
            False,
            "too general: it names nothing",
        ),
        (
            _make_candidate("ankle injuries", listing=None),
            False,
            "on no list of rare diseases, and no prevalence is known",
        ),
        (
            _make_candidate("alkaptonuria", listing=None, prevalence=_make_prevalence(4.9e-4)),
            True,
            "prevalence 0.00049 of people (ORPHA:56 (Some disease): point prevalence, Europe",
        ),
        (
            _make_candidate("down syndrome", prevalence=_make_prevalence(5e-4)),
            False,
            "not rare: 0.0005 of people (ORPHA:56",
        ),
        (
            _make_candidate(
                "hermansky pudlak syndrome", prevalence=_make_prevalence(5.5e-4, "Puerto Rico")
            ),
            True,
            "Puerto Rico",
        ),
        (
            _make_candidate("ataxias", listing=RareListing("ORPHA:99", "Orphanet", True)),
            False,
            "a group of disorders: ORPHA:99",
        ),
        (
            _make_candidate(
                "celiac disease", listing=RareListing("ORPHA:555", "Orphanet", False, "EUROPE")
            ),
            False,
            "not rare in Europe: ORPHA:555",
        ),
        (_make_candidate("nitisinone", entity_type="drug", listing=None), True, "named in 2"),
    ],
)
def test_rules_say_why(candidate: SeedCandidate, verdict: bool, reason: str) -> None:
    progress: list[int] = []
    (judged,) = RulesSignificanceJudge(min_documents=2).judge_candidates(
        [candidate], progress.append
    )
    assert (judged.significance.verdict, judged.significance.decided_by) == (verdict, "rules")
    assert reason in judged.significance.reason
    assert (judged.specialty, progress) == ("neurology", [1])


# --- by a model -----------------------------------------------------------------------

Answer = Callable[[list[str], int], str]


class FakeModel:
    """An endpoint that answers each request by ``answer(ids asked about, number of the
    request)``."""

    def __init__(self, server: HTTPServer, answer: Answer) -> None:
        self._answer = answer
        self.requested: list[list[str]] = []
        self.bodies: list[dict[str, Any]] = []
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(
            self._respond
        )

    def _respond(self, request: Request) -> Response:
        body = json.loads(request.data)
        ids = re.findall(r"^id: (.*)$", body["messages"][1]["content"], re.MULTILINE)
        self.bodies.append(body)
        self.requested.append(ids)
        message = {"role": "assistant", "content": self._answer(ids, len(self.requested))}
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        return Response(json.dumps(reply), content_type="application/json")


def _render_verdicts(ids: Sequence[str], significant: bool = True, **more: Any) -> str:
    return json.dumps(
        {
            "verdicts": [
                {
                    "id": concept_id,
                    "significant": significant,
                    "reason": f"about {concept_id}",
                    **more,
                }
                for concept_id in ids
            ]
        }
    )


@pytest.fixture(autouse=True)
def _fresh_governor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(governor_actor, "_local_client", LocalGovernorClient())
    monkeypatch.setattr(client_module, "_BACKOFF_SECONDS", 0.0)


def _make_judge(
    server: HTTPServer, batch: int = 20, run: Directory | None = None, **settings: Any
) -> LLMSignificanceJudge:
    chosen = {"max_tokens": 4096, "retries": 0, "requests_per_minute": 1e6, **settings}
    endpoint = EndpointConfig(base_url=server.url_for("/v1"), model="m", **chosen)
    return LLMSignificanceJudge(ChatClient(endpoint, run), endpoint, batch)


def _make_candidates(count: int) -> list[SeedCandidate]:
    return [_make_candidate(f"form {i}", concept_id=f"OMIM:{i}") for i in range(count)]


def _decisions_of(judged: Sequence[SeedJudgement]) -> list[tuple[bool, str]]:
    return [(candidate.significance.verdict, candidate.significance.reason) for candidate in judged]


def test_a_model_judges_many_candidates_in_few_requests_and_in_order(
    httpserver: HTTPServer,
) -> None:
    model = FakeModel(httpserver, lambda ids, number: _render_verdicts(list(reversed(ids))))
    progress: list[int] = []
    judged = _make_judge(httpserver, batch=20).judge_candidates(
        _make_candidates(45), progress.append
    )
    assert _decisions_of(judged) == [(True, f"about OMIM:{i}") for i in range(45)]
    assert {candidate.significance.decided_by for candidate in judged} == {"m"}
    assert sorted(map(len, model.requested)) == sorted(progress) == [5, 20, 20]


def test_the_prompt_contains_the_facts_and_the_specialties(httpserver: HTTPServer) -> None:
    model = FakeModel(httpserver, lambda ids, number: _render_verdicts(ids))
    prevalence = Prevalence(
        "ORPHA:1", "Kuru", 3.2e-7, "Point prevalence", "Worldwide", True, False, ""
    )
    plain = _make_candidate("kuru", name="Kuru", typo_of=(("kuru", "guru"),))
    _make_judge(httpserver).judge_candidates(
        [
            SeedCandidate(
                plain.frequency,
                "neurology",
                plain.forms,
                12,
                plain.typo_of,
                "",
                prevalence,
                _LISTED,
            )
        ]
    )
    system, user = (message["content"] for message in model.bodies[0]["messages"])
    for line in (
        "Name: Kuru",
        "Citations: 2",
        "Mentions by form: kuru (1)",
        "List of rare diseases: ORPHA:56 in Orphanet, a single disease",
        "Prevalence: 3.2e-07 of people (ORPHA:1 (Kuru): point prevalence, Worldwide, class",
        "kuru / guru",
    ):
        assert line in user
    assert all(name in system for name in SPECIALTIES)


def test_missing_verdicts_are_requested_once_more_and_unknown_ids_are_ignored(
    httpserver: HTTPServer,
) -> None:
    def answer(ids: list[str], number: int) -> str:
        return (
            _render_verdicts([*ids[2:], "OMIM:99"])
            if number == 1
            else _render_verdicts(ids, significant=False)
        )

    model = FakeModel(httpserver, answer)
    judged = _make_judge(httpserver).judge_candidates(_make_candidates(4))
    assert model.requested == [["OMIM:0", "OMIM:1", "OMIM:2", "OMIM:3"], ["OMIM:0", "OMIM:1"]]
    assert _decisions_of(judged) == [(i >= 2, f"about OMIM:{i}") for i in range(4)]


def test_a_verdict_that_stays_missing_is_a_no_with_its_reason(httpserver: HTTPServer) -> None:
    model = FakeModel(
        httpserver,
        lambda ids, number: _render_verdicts(
            [concept_id for concept_id in ids if concept_id != "OMIM:1"]
        ),
    )
    judged = _make_judge(httpserver).judge_candidates(_make_candidates(3))
    assert len(model.requested) == 2
    assert _decisions_of(judged)[1] == (False, "no usable verdict: the replies left it out")
    assert judged[1].specialty == "neurology"


def test_an_unusable_reply_is_followed_by_smaller_requests_and_then_is_a_no(
    httpserver: HTTPServer,
) -> None:
    def answer(ids: list[str], number: int) -> str:
        return _render_verdicts(ids) if ids == ["OMIM:0", "OMIM:1"] else "certainly!"

    model = FakeModel(httpserver, answer)
    judged = _make_judge(httpserver).judge_candidates(_make_candidates(4))
    assert (
        model.requested
        == [[f"OMIM:{i}" for i in range(4)]] * 2
        + [["OMIM:0", "OMIM:1"]]
        + [["OMIM:2", "OMIM:3"]] * 2
    )
    assert _decisions_of(judged)[:2] == [(True, "about OMIM:0"), (True, "about OMIM:1")]
    assert [verdict for verdict, _ in _decisions_of(judged)[2:]] == [False, False]
    assert "no usable verdict: the reply holds no JSON" in _decisions_of(judged)[2][1]


def test_bad_contradictory_and_foreign_verdicts_spoil_no_other() -> None:
    good = {"id": " A ", "significant": True, "reason": "real", "specialty": None}
    reply = VerdictsReply.model_validate(
        [
            good,
            {**good, "id": "B", "reason": ""},
            {**good, "id": "C"},
            {**good, "id": "C", "significant": False},
            {**good, "id": "Z"},
            "D",
            {"id": "E", "significant": "perhaps", "reason": "?"},
        ]
    )
    assert list(read_verdicts(reply, {"A", "B", "C", "D", "E"})) == ["A"]


@pytest.mark.parametrize(
    ("reported", "kept"),
    [
        ("cardiology", "cardiology"),
        (" Cardiology ", "cardiology"),
        ("podiatry", "neurology"),
        ("", "neurology"),
        (None, "neurology"),
    ],
)
def test_a_specialty_is_corrected_among_the_twelve_only(
    httpserver: HTTPServer, reported: str | None, kept: str
) -> None:
    FakeModel(httpserver, lambda ids, number: _render_verdicts(ids, specialty=reported))
    (judged,) = _make_judge(httpserver).judge_candidates(_make_candidates(1))
    assert judged.specialty == kept


def test_a_request_holds_no_more_candidates_than_its_reply_has_room_for(
    httpserver: HTTPServer,
) -> None:
    model = FakeModel(httpserver, lambda ids, number: _render_verdicts(ids))
    _make_judge(httpserver, batch=20, max_tokens=200).judge_candidates(_make_candidates(7))
    assert sorted(map(len, model.requested)) == [1, 3, 3]


def test_a_second_run_repeats_no_request(httpserver: HTTPServer, tmp_path: Path) -> None:
    model = FakeModel(httpserver, lambda ids, number: _render_verdicts(ids))
    first = _make_judge(httpserver, run=Directory(str(tmp_path))).judge_candidates(
        _make_candidates(3)
    )
    assert (
        _make_judge(httpserver, run=Directory(str(tmp_path))).judge_candidates(_make_candidates(3))
        == first
    )
    assert len(model.requested) == 1


def test_a_second_try_is_no_repeat_of_a_cached_reply(
    httpserver: HTTPServer, tmp_path: Path
) -> None:
    model = FakeModel(httpserver, lambda ids, number: _render_verdicts(ids if number == 2 else []))
    (judged,) = _make_judge(httpserver, run=Directory(str(tmp_path))).judge_candidates(
        _make_candidates(1)
    )
    assert judged.significance.verdict
    assert len(model.requested) == 2


def test_no_candidates_need_no_model(httpserver: HTTPServer) -> None:
    assert _make_judge(httpserver).judge_candidates([]) == []


def test_an_endpoint_that_fails_is_an_error_and_no_verdict(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_data("down", status=500)
    with pytest.raises(InfrastructureError):
        _make_judge(httpserver).judge_candidates(_make_candidates(1))


def test_a_spent_budget_is_an_error_and_no_verdict(httpserver: HTTPServer) -> None:
    model = FakeModel(httpserver, lambda ids, number: _render_verdicts(ids))
    with pytest.raises(BudgetExceeded):
        _make_judge(httpserver, budget_tokens=10).judge_candidates(_make_candidates(1))
    assert model.requested == []
