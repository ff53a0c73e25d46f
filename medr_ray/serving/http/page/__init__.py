"""The page at ``/ask``: a question box, the agent's steps as they come, the cited answer.

It is one file that loads nothing. What models and documents wrote is drawn by the script of
``agent.episode_view``, as text. Where the service asks for a key, the page asks its reader for one
and keeps it in memory alone.
"""

import base64
import functools
import hashlib
from importlib import resources

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from medr_ray.agent.episode_view import read_episode_script, read_episode_style
from medr_ray.serving.http.middleware import ASK_PATH


def add_ask_page(app: FastAPI) -> None:
    """Register the route."""

    @app.get(ASK_PATH, include_in_schema=False)
    async def show_ask_page() -> HTMLResponse:
        content, policy = _build_page()
        return HTMLResponse(content, headers={"Content-Security-Policy": policy})


@functools.cache
def _build_page() -> tuple[str, str]:
    """(the page, its content security policy: its own script and style, and its own server)."""
    script = f"{read_episode_script()}\n{_read_asset('ask.js')}"
    style = f"{read_episode_style()}\n{_read_asset('ask.css')}"
    content = _read_asset("ask.html").replace("{style}", style).replace("{script}", script)
    policy = (
        f"default-src 'none'; script-src {_hash_inline(script)}; style-src {_hash_inline(style)}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return content, policy


def _hash_inline(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _read_asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
