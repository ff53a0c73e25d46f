"""Writes a page: one file, or a folder where its trajectories are too large for one."""

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from medr_ray.agent.episode_view import read_episode_script, read_episode_style
from medr_ray.core.run import Directory
from medr_ray.evaluation.report.page.content import PageContent, build_page_values
from medr_ray.evaluation.report.page.trajectories import pack_trajectory

# Bytes of packed trajectories in one file. A browser reads so many in about a second; mail and
# chat programs still take such a file.
MOST_BYTES = 30_000_000
# Bytes of packed trajectories in a file of a folder, which is loaded whole to show one of them.
_FILE_BYTES = 2_000_000

_SCRIPTS = ("charts.js", "tables.js", "answers.js", "report.js")
_STYLE = "report.css"
_FOLDER_PAGE = "index.html"


@dataclass(frozen=True)
class _TrajectoryFile:
    """A file of a folder: ``texts`` are packed trajectories from number ``first`` on."""

    name: str
    first: int
    texts: Sequence[str]


def write_page(directory: Directory, name: str, content: PageContent) -> None:
    """Write the page as ``name``.html in a directory.

    Where the trajectories are too large for a file, the page and they are in the folder ``name``,
    and ``name``.html leads there. Files of an earlier, larger page stay in the folder unread.
    """
    packed = [
        pack_trajectory(answer) for answer in content.answers if answer.trajectory is not None
    ]
    write_packed_page(directory, name, content, packed)


def write_packed_page(
    directory: Directory, name: str, content: PageContent, packed: Sequence[str]
) -> None:
    """``write_page`` where the trajectories are packed already, in the order of the answers."""
    values = build_page_values(content)
    if sum(map(len, packed)) <= MOST_BYTES:
        page = render_page(content, {**values, "files": []}, packed)
        directory.write_bytes(f"{name}.html", page)
        return
    folder = directory.child(name)
    files = list(_split_into_files(packed))
    for file in files:
        text = f"storeTrajectories({file.first}, {json.dumps(file.texts)});\n"
        folder.write_bytes(file.name, text.encode("ascii"))
    listed = [{"name": file.name, "first": file.first, "count": len(file.texts)} for file in files]
    folder.write_bytes(_FOLDER_PAGE, render_page(content, {**values, "files": listed}, ()))
    directory.write_bytes(f"{name}.html", _render_pointer(content.title, f"{name}/{_FOLDER_PAGE}"))


def _split_into_files(packed: Sequence[str]) -> Iterator[_TrajectoryFile]:
    first = 0
    size = 0
    number = 0
    for index, text in enumerate(packed):
        if size and size + len(text) > _FILE_BYTES:
            yield _TrajectoryFile(f"trajectories-{number:04d}.js", first, packed[first:index])
            first = index
            size = 0
            number += 1
        size += len(text)
    if first < len(packed):
        yield _TrajectoryFile(f"trajectories-{number:04d}.js", first, packed[first:])


def render_page(content: PageContent, values: dict[str, Any], packed: Sequence[str]) -> bytes:
    """The HTML of a page. ``packed`` are the trajectories that stand in it."""
    script = "\n".join([read_episode_script(), *map(_read_asset, _SCRIPTS)])
    style = "\n".join([read_episode_style(), _read_asset(_STYLE)])
    sources = f"{_hash_source(script)} 'self' file:" if values["files"] else _hash_source(script)
    policy = (
        f"default-src 'none'; script-src {sources}; style-src {_hash_source(style)}; "
        "base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types report-data"
    )
    title = html.escape(content.title)
    notes = "\n".join(f"<p>{html.escape(note)}</p>" for note in content.notes)
    # Base64 has no character that HTML gives a meaning to.
    stored = "\n".join(
        f'<script type="text/plain" id="trajectory-{number}">{text}</script>'
        for number, text in enumerate(packed)
    )
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header>
<h1>{title}</h1>
<nav aria-label="Views">
<a href="#overview">Overview</a>
<a href="#answers">Answers</a>
<a href="#compare">Side by side</a>
</nav>
<label>Theme
<select id="theme">
<option value="">system</option>
<option value="light">light</option>
<option value="dark">dark</option>
</select>
</label>
</header>
<main id="content" tabindex="-1">
<noscript>This report is drawn by the scripts in it.</noscript>
</main>
<footer>
{notes}
</footer>
<script type="application/json" id="report-data">{_write_json(values)}</script>
{stored}
<script>{script}</script>
</body>
</html>
"""
    return page.encode("utf-8", errors="backslashreplace")


def _write_json(values: dict[str, Any]) -> str:
    """JSON that cannot close the element around it: nothing in it begins like a tag."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _hash_source(text: str) -> str:
    """The text as a source that a policy allows."""
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _render_pointer(title: str, target: str) -> bytes:
    """A page that leads to the one in the folder."""
    address = html.escape(target)
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'">
<meta http-equiv="refresh" content="0; url={address}">
<title>{html.escape(title)}</title>
</head>
<body><main><a href="{address}">{html.escape(title)}</a></main></body>
</html>
"""
    return page.encode("utf-8", errors="backslashreplace")


def _read_asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
