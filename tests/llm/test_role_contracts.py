"""Every role of a language model over real HTTP: a good reply is used, a bad one is asked for again
or refused with its reason, and what a document orders is data."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pytest_httpserver import HTTPServer
from support.role_contracts import CASES, CONTRACTS, Case, CaseName, Cut, Refused, Reply, Scene
from werkzeug import Response

from medr_ray.core.config import EndpointConfig
from medr_ray.core.config.roles import RoleName
from medr_ray.core.records import Language
from medr_ray.core.run import Directory

from .conftest import Script, completion

_FENCE = re.compile(r"^===== \w+ =====$", re.M)
_COMPLAINT = "Reply with the JSON object only."
# Roles whose malformed reply is sent back with what was wrong with it.
_REPAIRED = {
    "significance",
    "extractor",
    "writer",
    "back_reader",
    "rewriter",
    "quoter",
    "preference",
}


TABLE = [
    pytest.param(
        role,
        language,
        name,
        case,
        id=f"{role}-{language}-{name}-{number}",
    )
    for role, contract in CONTRACTS.items()
    for language in contract.languages
    for name, cases in contract.cases(language).items()
    for number, case in enumerate(cases)
]


def test_the_table_has_every_role_in_every_language_with_every_case() -> None:
    assert set(CONTRACTS) == set(get_args(RoleName))
    for contract in CONTRACTS.values():
        for language in contract.languages:
            cases = contract.cases(language)
            assert tuple(cases) == CASES
            assert all(cases.values())
            # What code cannot catch is said, and nothing else is said to be so.
            obeyed = [case for case in cases["injection"] if not case.reason]
            assert bool(obeyed) is bool(contract.uncaught)


def _send(reply: Reply) -> Response:
    body = completion(reply if isinstance(reply, str) else reply.text)
    choice = body["choices"][0]
    if isinstance(reply, Cut):
        choice["finish_reason"] = "length"
    if isinstance(reply, Refused):
        choice["message"] = {"role": "assistant", "content": None, "refusal": reply.text}
    return Response(json.dumps(body), content_type="application/json")


def _join_contents(body: dict[str, Any]) -> str:
    return "\n".join(message["content"] for message in body["messages"])


def _is_data(request: str, order: str, place: str) -> bool:
    """Whether the only place of ``order`` in a request is one for data."""
    before, _, after = request.partition(order)
    if order in after:
        return False
    if place == "fence":
        opening = _FENCE.findall(before)[-1]
        return opening not in order and opening in _FENCE.findall(after)
    opening_tag, closing_tag = {
        "given answer": ("<given_answer>", "</given_answer>"),
        "tool response": ("<tool_response>", "</tool_response>"),
        "question": ("", ""),  # the question is all that is asked
    }[place]
    return before.rfind(opening_tag) >= before.rfind(closing_tag) and closing_tag in after


@pytest.mark.parametrize(("role", "language", "name", "case"), TABLE)
def test_a_role_keeps_to_its_contract(
    httpserver: HTTPServer,
    tmp_path: Path,
    role: RoleName,
    language: Language,
    name: CaseName,
    case: Case,
) -> None:
    contract = CONTRACTS[role]
    script = Script(httpserver, *map(_send, case.replies))
    endpoint = EndpointConfig(
        base_url=httpserver.url_for("/v1"),
        model="m",
        api_key_env="SERVICE_TEST_KEY",
        requests_per_minute=1e6,
        retries=0,
    )
    order = contract.write_order(language) if name == "injection" else ""
    outcome = contract.play(Scene(endpoint, Directory(str(tmp_path)), language, order))

    assert outcome.kept == case.kept
    assert bool(outcome.reasons) is bool(case.reason), outcome.reasons
    assert not case.reason or any(re.search(case.reason, reason) for reason in outcome.reasons), (
        outcome.reasons
    )
    assert len(script.bodies) == case.requests
    if name == "malformed then good" and role in _REPAIRED:
        assert _COMPLAINT in script.bodies[1]["messages"][-1]["content"]
    if order:
        # The last request is the one that has all of the material.
        assert _is_data(_join_contents(script.bodies[-1]), order, contract.place)
