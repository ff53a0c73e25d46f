"""The process that turns one page into text: standard input to standard output, under limits it
sets itself.

It is run by path with ``python -I`` and imports nothing of this package. The first line of the
input is a JSON object (media_type, charset, max_pages, chars, cpu_seconds, memory_mb), the rest is
the page. The output is one JSON object: title, date (ISO 8601 or ""), text, note. A page that
cannot be read gives {"error": ...}, a library that cannot be loaded {"missing": ...}. A page that
takes too much memory or time ends the process.
"""

import contextlib
import io
import json
import logging
import re
import resource
import sys
from typing import Any

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# What browsers read these names as (Encoding Standard, section 4.2): supersets that pages use.
_WEB_CHARSETS = {
    **dict.fromkeys(("gb2312", "gbk", "gb_2312-80", "x-gbk", "chinese"), "gb18030"),
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "ascii", "us-ascii"), "windows-1252"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ksc5601"), "cp949"),
    "big5": "big5hkscs",
    "iso-8859-9": "windows-1254",
    "tis-620": "cp874",
}
# Single bytes for the Latin letters of Europe.
_LATIN_CHARSETS = frozenset(
    (
        *("cp1250", "cp1252", "cp1257", "cp1258", "latin_1", "iso8859_2", "iso8859_10"),
        *("iso8859_15", "iso8859_16", "mac_roman", "mac_latin2", "hp_roman8", "cp850", "cp858"),
    )
)
# As windows-1252 shows Polish l, a and z with their marks, and Czech e and r with a caron.
_CENTRAL_LETTERS = re.compile(r"[^\W\d_][¹³¿¼¾][^\W\d_]|[šž](?=[\s\S]*[ìø])|[ìø](?=[\s\S]*[šž])")
_WESTERN_LETTERS = re.compile(r"[àçñåæãõ]")
_META_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset=[\"']?\s*([A-Za-z0-9_:-]{2,40})", re.IGNORECASE
)
_META_BYTES = 100_000  # of a page, in which its own charset is looked for; scripts may come before
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_REPLACEMENT = "\ufffd"
_MAX_BROKEN_SHARE = 0.1  # of the characters beyond ASCII; with more it is another charset
# Only a date that the page states as its own: a year in the footer dates no page.
_DATE_SETTINGS = {"original_date": True, "extensive_search": False}


def main() -> None:
    """Read, parse, write."""
    # Our own line, and this process imports nothing of the package: it has to start at once.
    request = json.loads(sys.stdin.buffer.readline())  # noqa: TID251
    # Before the page is read and any parser is imported.
    _limit_process(request["cpu_seconds"], request["memory_mb"])
    body = sys.stdin.buffer.read()
    logging.disable(logging.CRITICAL)  # parsers complain about every malformed page
    # What a parser prints must not end up in the output.
    with contextlib.redirect_stdout(io.StringIO()):
        result = _limit_text(_parse_page(request, body), request["chars"])
    sys.stdout.write(json.dumps(result))


def _parse_page(request: dict[str, Any], body: bytes) -> dict[str, str]:
    media_type = request["media_type"]
    try:
        if media_type == "application/pdf":
            return _parse_pdf(body, request["max_pages"])
        if media_type in ("text/html", "application/xhtml+xml"):
            return _parse_html(body, request["charset"])
        text, note = _decode_page(body, request["charset"])
        if text is None:
            text = _detect_text(body)
        return {"title": "", "date": "", "text": text, "note": note}
    except MemoryError:
        return {"error": "reading it takes too much memory"}
    except ImportError as error:
        return {"missing": str(error)}
    except Exception as error:  # whatever a parser raises is the page's fault
        return {"error": f"it cannot be parsed ({type(error).__name__})"}


def _limit_text(result: dict[str, str], chars: int) -> dict[str, str]:
    """The result with at most ``chars`` characters of text. Cut here, because the process that
    reads it has no limits of its own."""
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


def _limit_process(cpu_seconds: int, memory_mb: int) -> None:
    # The soft limit sends SIGXCPU, the hard one a second later SIGKILL.
    _set_limit(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1)
    _set_limit(resource.RLIMIT_AS, memory_mb << 20, memory_mb << 20)
    _set_limit(resource.RLIMIT_FSIZE, 0, 0)  # it has nothing to write to a file
    _set_limit(resource.RLIMIT_CORE, 0, 0)


def _set_limit(limit: int, soft: int, hard: int) -> None:
    """Set a limit of this process, or the machine's own where that is lower: a limit cannot be
    raised."""
    _, machine_limit = resource.getrlimit(limit)
    if machine_limit != resource.RLIM_INFINITY:
        soft = min(soft, machine_limit)
        hard = min(hard, machine_limit)
    resource.setrlimit(limit, (soft, hard))


def _parse_html(body: bytes, charset: str) -> dict[str, str]:
    import trafilatura

    text, note = _decode_page(body, charset)
    if text is None:
        text = _detect_text(body)
    # The parser refuses a text that says which bytes it is written in.
    page = _XML_DECLARATION.sub("", text, count=1)
    extracted = trafilatura.bare_extraction(
        page, with_metadata=True, include_comments=False, date_extraction_params=_DATE_SETTINGS
    )
    if extracted is None:
        return {"error": "it holds no text"}
    # Depending on its version the library returns a dict or an object.
    values = extracted if isinstance(extracted, dict) else extracted.as_dict()
    return {
        "title": values.get("title") or "",
        "date": values.get("date") or "",
        "text": values.get("text") or "",
        "note": note,
    }


def _parse_pdf(body: bytes, max_pages: int) -> dict[str, str]:
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(body))
    # Many PDFs are encrypted with an empty password, which readers try without being asked.
    if reader.is_encrypted and not reader.decrypt(""):
        return {"error": "it is encrypted"}
    count = len(reader.pages)
    text = "\n".join(reader.pages[number].extract_text() for number in range(min(count, max_pages)))
    metadata = reader.metadata
    title = (metadata.title if metadata else None) or ""
    note = f"the first {max_pages} of {count} pages" if count > max_pages else ""
    return {"title": str(title), "date": _creation_date(metadata), "text": text, "note": note}


def _creation_date(metadata: Any) -> str:
    """The date of a PDF's creation in ISO 8601; "" where it states none or no valid one."""
    try:
        created = metadata.creation_date if metadata else None
    except ValueError:
        return ""
    return created.date().isoformat() if created else ""


def _decode_page(body: bytes, stated: str) -> tuple[str | None, str]:
    """(the text, what could not be read). The charset is that of a byte order mark, UTF-8 where all
    bytes fit it, what the server states, what the page states, or UTF-8. The text is None where the
    bytes fit none of them.

    Text of another charset is next to never whole UTF-8; some charsets fit almost any bytes. A
    few bytes that do not fit leave the others what they are.
    """
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return body.decode(charset, errors="replace"), ""
    declaration = _META_CHARSET.search(body, 0, _META_BYTES)
    declared = declaration.group(1).decode("ascii") if declaration else ""
    # Seven-bit charsets look like ASCII.
    is_escaped = b"\x1b" in body and f"{stated} {declared}".lower().count("iso-2022")
    if not is_escaped:
        with contextlib.suppress(UnicodeDecodeError):
            return body.decode(), ""
    for charset in (stated, declared, "utf-8"):
        text = _try_charset(body, charset)
        if text is not None:
            broken = text.count(_REPLACEMENT)
            return text, f"{broken} characters could not be read" if broken else ""
    return None, ""


def _try_charset(body: bytes, charset: str) -> str | None:
    """The text in a charset; None where it is unknown or too many bytes do not fit."""
    name = charset.strip().lower()
    try:
        text = body.decode(_WEB_CHARSETS.get(name, name), errors="replace") if name else None
    except (LookupError, ValueError):
        return None
    if text is None:
        return None
    foreign = sum(character > "\x7f" for character in text)
    broken = text.count(_REPLACEMENT)
    return text if broken <= max(1, _MAX_BROKEN_SHARE * foreign) else None


def _detect_text(body: bytes) -> str:
    """The text in the charset that its bytes look like."""
    from charset_normalizer import from_bytes

    best = from_bytes(body).best()
    if best is not None and best.encoding not in _LATIN_CHARSETS:
        return str(best)
    # Detection cannot tell these apart. The web's own default is the first, except for the letters
    # of Central Europe, which would be signs inside of words.
    text = body.decode("windows-1252", errors="replace")
    if _CENTRAL_LETTERS.search(text) and not _WESTERN_LETTERS.search(text):
        return body.decode("windows-1250", errors="replace")
    return text


if __name__ == "__main__":
    main()
