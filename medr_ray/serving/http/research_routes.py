"""``/v1/research``: a question, its steps as server-sent events and a cited answer; and
``/v1/diagnose``: the likeliest diseases for findings."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from medr_ray.agent.events import AnswerEvent, EpisodeEvent, ErrorEvent, to_json
from medr_ray.serving.account import current_account
from medr_ray.serving.http.errors import RETRY_AFTER_SECONDS, HttpRefusal
from medr_ray.serving.http.event_stream import build_event_response, format_event
from medr_ray.serving.http.openapi import describe_errors
from medr_ray.serving.http.schemas.research import DiagnoseRequest, ResearchRequest
from medr_ray.serving.messages import Refusal
from medr_ray.serving.research_messages import ResearchBackend

_TOO_MANY = 429
_ANSWERS: dict[str, Any] = {
    "content": {
        "text/event-stream": {"schema": {"type": "string"}},
        "application/json": {"schema": {"type": "object"}},
    }
}


def add_research(
    app: FastAPI, research: ResearchBackend | None, agent_name: str, models: list[str]
) -> None:
    """Register the routes; without anything to search they answer 404. ``models`` are the served
    names of the weights, the default first; ``agent_name`` stands for the default too."""

    def require_research() -> ResearchBackend:
        if research is None:
            message = "this run has nothing to search: run the index stage first"
            raise HttpRefusal(404, message, "no_index")
        return research

    def find_model(name: str | None) -> str:
        if name is None or name == agent_name:
            return models[0]
        if name not in models:
            names = ", ".join(models)
            message = f"no model {name!r} is served; there are {names}"
            raise HttpRefusal(404, message, "model_not_found", "model")
        return name

    @app.post("/v1/research", responses={200: _ANSWERS, **describe_errors(404)})
    async def run_research(request: ResearchRequest) -> Response:
        backend = require_research()
        events = backend.research(request.to_job(find_model(request.model)))
        first = await anext(events)
        if isinstance(first, Refusal):
            raise _build_http_refusal(first)
        if request.stream:
            return build_event_response(_format_events(first, events), [events])
        return JSONResponse(await _collect_result(first, events))

    @app.post("/v1/diagnose", responses=describe_errors(404))
    async def diagnose(request: DiagnoseRequest) -> dict[str, Any]:
        answer = await require_research().diagnose(request.to_arguments())
        if isinstance(answer, Refusal):
            raise _build_http_refusal(answer)
        return {"object": "diagnosis", **answer}


def _build_http_refusal(refusal: Refusal) -> HttpRefusal:
    retry_after = RETRY_AFTER_SECONDS if refusal.status == _TOO_MANY else None
    return HttpRefusal(
        refusal.status, refusal.message, refusal.code, refusal.param, retry_after=retry_after
    )


async def _format_events(
    first: EpisodeEvent, events: AsyncIterator[Refusal | EpisodeEvent]
) -> AsyncIterator[str]:
    yield format_event(to_json(first))
    async for event in events:
        if not isinstance(event, Refusal):
            _count_usage(event)
            yield format_event(to_json(event))


async def _collect_result(
    first: EpisodeEvent, events: AsyncIterator[Refusal | EpisodeEvent]
) -> dict[str, Any]:
    """All events in one object, the last of them as ``answer``. Raises HttpRefusal when the
    episode ended without one."""
    steps = [to_json(first)]
    async for event in events:
        if isinstance(event, ErrorEvent):
            raise HttpRefusal(503, event.message, "unavailable")
        if not isinstance(event, Refusal):
            _count_usage(event)
            steps.append(to_json(event))
    return {"object": "research", "answer": steps[-1], "events": steps}


def _count_usage(event: EpisodeEvent) -> None:
    """Count the tokens of an answer for the request that is being answered."""
    account = current_account.get()
    if account is not None and isinstance(event, AnswerEvent):
        account.prompt_tokens += event.usage.prompt_tokens
        account.output_tokens += event.usage.output_tokens
