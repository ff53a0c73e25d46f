"""The HTTP interface against its own documentation: schemathesis draws requests from it, those that
it allows and those that it does not."""

import contextlib

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from support.scripted_chat import ScriptedChat

from medr_ray.serving.http import build_http
from medr_ray.serving.http.schemas import SearchRequest
from medr_ray.serving.http.service_state import ServiceState
from medr_ray.serving.keys import ApiKeyVerifier

KEY = {"Authorization": "Bearer k"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    ignored_auth,
]


class _ScriptedSearch:
    """One hit for every query, and one document."""

    async def search(self, request: SearchRequest) -> list[dict[str, object]]:
        return [{"document_id": "PMID:1", "snippet": request.query}]

    async def document(self, document_id: str) -> dict[str, object] | None:
        return {"document_id": document_id} if document_id == "PMID:1" else None


def _load_schema() -> schemathesis.schemas.BaseSchema:
    backend = ScriptedChat()
    search = _ScriptedSearch()
    verifier = ApiKeyVerifier.for_key("k")
    state = ServiceState(ready_replicas=1)
    app = build_http(backend, search, verifier, ["agent"], embeddings=backend, state=state)
    # Schemathesis starts and ends the application for each request; one that has ended refuses.
    app.router.lifespan_context = lambda _: contextlib.nullcontext()
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers=KEY)


SCHEMA = _load_schema()


COMMON_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))


@SCHEMA.parametrize()
@settings(COMMON_SETTINGS, max_examples=20, derandomize=True)
def test_no_request_gets_a_5xx_or_what_is_not_documented(case: schemathesis.Case) -> None:
    case.call_and_validate(headers=KEY, checks=CHECKS)


@pytest.mark.soak
@SCHEMA.parametrize()
@settings(COMMON_SETTINGS, max_examples=500)
def test_no_request_of_a_campaign_does(case: schemathesis.Case) -> None:
    case.call_and_validate(headers=KEY, checks=CHECKS)
