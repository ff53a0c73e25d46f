"""The page at ``/ask`` in a browser: a question is typed, its steps and its cited answer come."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from support.browser import needs_browser, open_browser
from support.scripted_chat import ScriptedChat
from support.scripted_research import ScriptedResearch

from medr_ray.serving.app import find_free_port
from medr_ray.serving.http import build_http
from medr_ray.serving.keys import ApiKeyVerifier

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture
def address() -> Iterator[str]:
    """The service, in a thread of this process."""
    app = build_http(
        ScriptedChat(),
        None,
        ApiKeyVerifier.for_key("k"),
        ["m"],
        research=ScriptedResearch(),
        agent_name="medr-agent",
    )
    port = find_free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_a_question_is_asked_with_a_key_and_answered_with_a_source(
    address: str, tmp_path: Path
) -> None:
    with open_browser(tmp_path) as page:
        page.open(f"{address}/ask")
        page.evaluate("document.getElementById('question').value = '<b>What?</b>'")
        page.click("#send")
        # The first try has no key, so the page asks for it.
        page.wait_for("!document.getElementById('key-row').hidden")
        assert "missing or wrong API key" in page.evaluate("document.body.innerText")
        page.wait_for("!document.getElementById('send').disabled")
        page.evaluate("document.getElementById('key').value = 'k'")
        page.click("#send")
        page.wait_for("document.querySelector('.episode-notice') !== null")
        text = page.evaluate("document.body.innerText")
        assert "<b>What?</b>" in text
        assert "found a" in text
        assert "PMID:77" in text
        assert "not medical advice" in text
        links = json.dumps(
            page.evaluate("[...document.querySelectorAll('a')].map((link) => link.href)")
        )
        assert "https://pubmed.ncbi.nlm.nih.gov/a/" in links
        # Its own server, and nothing else; the first answer without a key is an error of the log.
        assert all(request.startswith(address) for request in page.requests)
        assert [error for error in page.errors if "401" not in error] == []
