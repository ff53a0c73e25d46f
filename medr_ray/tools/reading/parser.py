"""The process that turns one page into text: standard input to standard output, under limits it
sets itself.

Run by path with ``python -I``; it imports nothing of this package. The first line of the input is a
JSON object (media_type, charset, max_pages, chars, cpu_seconds, memory_mb), the rest is the page.
The output is one JSON object: title, date (ISO 8601 or ""), text, note. A page that cannot be read
gives {"error": ...}, a library that cannot be loaded {"missing": ...}; a page that takes too much
memory or time ends the process.
"""

import contextlib
import io
import json
import logging
import resource
import sys
from typing import Any

_DATES = {"original_date": True, "extensive_search": False}  # a year in a footer dates no page


def main() -> None:
    """Read, parse, write."""
    order = json.loads(sys.stdin.buffer.readline())
    _limit(order["cpu_seconds"], order["memory_mb"])
    body = sys.stdin.buffer.read()
    logging.disable(logging.CRITICAL)  # parsers complain about every malformed page
    with contextlib.redirect_stdout(io.StringIO()):
        result = _cut(_parsed(order, body), order["chars"])
    sys.stdout.write(json.dumps(result))


def _parsed(order: dict[str, Any], body: bytes) -> dict[str, str]:
    kind = order["media_type"]
    try:
        if kind == "application/pdf":
            return _pdf(body, order["max_pages"])
        if kind in ("text/html", "application/xhtml+xml"):
            return _html(body)
        return {"title": "", "date": "", "text": _decoded(body, order["charset"]), "note": ""}
    except MemoryError:
        return {"error": "reading it takes too much memory"}
    except ImportError as error:
        return {"missing": str(error)}
    except Exception as error:  # whatever a foreign parser raises is the page's fault
        return {"error": f"it cannot be parsed ({type(error).__name__})"}


def _cut(result: dict[str, str], chars: int) -> dict[str, str]:
    """At most so many characters of text: whoever reads it has no such limits."""
    count = len(result.get("text", ""))
    if count <= chars:
        return result
    note = ", ".join(filter(None, (result["note"], f"the first {chars:,} of {count:,} characters")))
    return {
        **result,
        "title": result["title"][:chars],
        "text": result["text"][:chars],
        "note": note,
    }


def _limit(cpu_seconds: int, memory_mb: int) -> None:
    _allow(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1)
    _allow(resource.RLIMIT_AS, memory_mb << 20, memory_mb << 20)
    _allow(resource.RLIMIT_FSIZE, 0, 0)  # it has nothing to write to a file
    _allow(resource.RLIMIT_CORE, 0, 0)


def _allow(what: int, soft: int, hard: int) -> None:
    """So much, or as little as the machine allows."""
    _, hard_limit = resource.getrlimit(what)
    if hard_limit != resource.RLIM_INFINITY:
        soft, hard = min(soft, hard_limit), min(hard, hard_limit)
    resource.setrlimit(what, (soft, hard))


def _html(body: bytes) -> dict[str, str]:
    import trafilatura

    extracted = trafilatura.bare_extraction(
        body, with_metadata=True, include_comments=False, date_extraction_params=_DATES
    )
    if extracted is None:
        return {"error": "it holds no text"}
    values = extracted if isinstance(extracted, dict) else extracted.as_dict()
    return {
        "title": values.get("title") or "",
        "date": values.get("date") or "",
        "text": values.get("text") or "",
        "note": "",
    }


def _pdf(body: bytes, max_pages: int) -> dict[str, str]:
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(body))
    if reader.is_encrypted and not reader.decrypt(""):
        return {"error": "it is encrypted"}
    count = len(reader.pages)
    text = "\n".join(reader.pages[number].extract_text() for number in range(min(count, max_pages)))
    about = reader.metadata
    title = (about.title if about else None) or ""
    note = f"the first {max_pages} of {count} pages" if count > max_pages else ""
    return {"title": str(title), "date": _day(about), "text": text, "note": note}


def _day(about: Any) -> str:
    """When a PDF says it was made; "" where it says so in a way of its own."""
    try:
        created = about.creation_date if about else None
    except ValueError:
        return ""
    return created.date().isoformat() if created else ""


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset or "utf-8", errors="replace")
    except LookupError:
        return body.decode("utf-8", errors="replace")


if __name__ == "__main__":
    main()
