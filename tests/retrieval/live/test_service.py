"""A web service asked politely, and what becomes of its failures."""

import asyncio
import gzip
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.live_services import KEY, SHORT, Hang, Services, answers

from medr_ray.core.config import LiveConfig
from medr_ray.core.errors import ConfigError, DataError, InfrastructureError, ToolError
from medr_ray.governor.gate import Limits
from medr_ray.retrieval.live.service import (
    ServiceRequest,
    ServiceResponse,
    WebService,
    with_deadline,
)

ANY = Limits(None)
ASK = ServiceRequest("POST", "search", form={"q": "fabry"})


def text(reply: ServiceResponse) -> str:
    return reply.body.decode()


def service(url: str, retries: int = 2, **settings: Any) -> WebService:
    return WebService(
        "PubMed", url, LiveConfig(retries=retries, **settings), ANY, key_name="SERVICE_TEST_KEY"
    )


def ask(
    web_service: WebService,
    read: Callable[[ServiceResponse], str] = text,
    what: ServiceRequest = ASK,
) -> str:
    return asyncio.run(web_service.request(what, read))


@pytest.mark.parametrize(
    "failure",
    [
        answers(500),
        answers(502, "bad gateway"),
        answers(429),
        answers(429, Retry_After="0.05"),
        answers(503),
        answers(408),
    ],
)
def test_what_may_pass_is_tried_again(web: Services, failure: Any) -> None:
    path = web.on("search", failure, b"found")
    assert ask(service(web.url)) == "found"
    assert len(path.asked) == 2


@pytest.mark.parametrize(("status", "message"), [(500, "it answers 500"), (429, "it answers 429")])
def test_it_is_not_tried_for_ever(web: Services, status: int, message: str) -> None:
    path = web.on("search", answers(status))
    with pytest.raises(InfrastructureError, match=f"PubMed failed 3 times, at last: {message}"):
        ask(service(web.url))
    assert len(path.asked) == 3


def test_one_that_hangs_is_given_up(web: Services) -> None:
    path = web.on("search", Hang())
    with pytest.raises(
        InfrastructureError, match=r"PubMed failed 2 times, at last: no answer within 1 s"
    ):
        # Long enough for a request to reach the service on a busy machine.
        ask(service(web.url, retries=1, timeout_seconds=1.0))
    assert len(path.asked) == 2


def test_the_time_to_make_a_client_is_not_counted_against_the_service(
    web: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SlowlyMade(httpx.AsyncClient):
        def __init__(self, **settings: Any) -> None:
            time.sleep(1.1)  # more than the service may take
            super().__init__(**settings)

    monkeypatch.setattr(httpx, "AsyncClient", SlowlyMade)
    web.on("search", b"found")
    assert ask(service(web.url, retries=0, timeout_seconds=1.0)) == "found"


def test_one_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(InfrastructureError, match="PubMed failed 1 times, at last: ConnectError"):
        ask(service(url, retries=0))


def test_who_asks_for_hours_of_patience_is_left_alone(web: Services) -> None:
    path = web.on("search", answers(429, Retry_After="7200"))
    with pytest.raises(InfrastructureError, match="asks to come back in 7,200 s"):
        ask(service(web.url))
    assert len(path.asked) == 1


def test_a_retry_after_holds_for_every_caller(web: Services) -> None:
    """The second caller is not sent to a service that has just asked for a minute's rest."""
    path = web.on("search", answers(429, Retry_After="60"))
    with pytest.raises(InfrastructureError, match="come back in 60 s"):
        ask(service(web.url))
    other = service(web.url, deadline_seconds=SHORT)
    with pytest.raises(InfrastructureError, match="did not answer within"):
        asyncio.run(with_deadline(SHORT, "PubMed", other.request(ASK, text)))
    assert len(path.asked) == 1


def test_an_answer_is_read_up_to_a_limit(web: Services) -> None:
    path = web.on("search", b"x" * 5000)
    with pytest.raises(InfrastructureError, match=r"more than 4,096 bytes \(max_bytes\)"):
        ask(service(web.url, max_bytes=4096))
    assert len(path.asked) == 1


def test_a_packed_answer_is_not_unpacked(web: Services) -> None:
    """A few kilobytes may unpack to gigabytes."""
    path = web.on("search", answers(200, gzip.compress(bytes(10**6)), Content_Encoding="gzip"))
    with pytest.raises(InfrastructureError, match="packs its answers as gzip, unasked"):
        ask(service(web.url))
    assert path.asked[0].headers["Accept-Encoding"] == "identity"


def test_a_redirect_is_not_followed(web: Services) -> None:
    target = web.on("other", b"secret")
    web.on("search", answers(302, Location=f"{web.url}/other"))
    with pytest.raises(InfrastructureError, match=r"is not at .* \(302\): see its base_url"):
        ask(service(web.url))
    assert target.asked == []


def test_an_unreadable_answer_is_asked_for_again(web: Services) -> None:
    def read(reply: ServiceResponse) -> str:
        if reply.body != b"whole":
            raise DataError("cut off")
        return "whole"

    web.on("search", b"who", b"whole")
    assert ask(service(web.url), read) == "whole"
    web.on("broken", b"who")
    with pytest.raises(InfrastructureError, match="its answer cannot be read: cut off"):
        ask(service(web.url), read, ServiceRequest("POST", "broken"))


def test_a_refused_query_is_told_to_the_agent(web: Services) -> None:
    path = web.on("search", answers(400, "bad\x1b[31m query\u202e"))
    with pytest.raises(ToolError, match=r"^PubMed refuses the query \(400\): bad\[31m query$"):
        ask(service(web.url))
    assert len(path.asked) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, "no"),
        (401, f"unknown key {KEY}"),
        (400, f"API key invalid: {KEY}"),
    ],
)
def test_a_refused_key_names_its_variable_and_is_not_shown(
    web: Services,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: str,
) -> None:
    monkeypatch.setenv("SERVICE_TEST_KEY", KEY)
    web.on("search", answers(status, body))
    with pytest.raises(ConfigError, match=r"refuses the key in \$SERVICE_TEST_KEY") as caught:
        ask(service(web.url))
    assert KEY not in str(caught.value)


def test_a_key_is_in_no_log(
    web: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SERVICE_TEST_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    path = web.on("search", b"found")
    web_service = WebService(
        "PubMed",
        web.url,
        LiveConfig(),
        ANY,
        key_name="SERVICE_TEST_KEY",
        headers={"X-API-KEY": KEY},
    )
    ask(web_service, what=ServiceRequest("POST", "search", form={"api_key": KEY}))
    assert (path.asked[0].form["api_key"], path.asked[0].headers["X-API-KEY"]) == (KEY, KEY)
    assert caplog.text
    assert KEY not in caplog.text
