"""What a page is: by its bytes, where they show it, and else by what its server says.

Servers send PDFs as "application/octet-stream", error pages as "application/pdf", and anything
without a type at all.
"""

import re

from medr_ray.core.errors import ToolError
from medr_ray.retrieval.query_text import plain_line

HTML = "text/html"
PDF = "application/pdf"
TEXT = "text/plain"
_HTML_TYPES = frozenset({HTML, "application/xhtml+xml"})
_TEXT_TYPES = frozenset(
    {TEXT, "text/markdown", "text/csv", "application/json", "text/xml", "application/xml"}
)
# Of these no text is expected: they are refused before they come.
_FAMILIES_WITHOUT_TEXT = ("image/", "audio/", "video/", "font/")
_PDF_MARK = b"%PDF-"
_PDF_MARK_BYTES = 1024  # within which readers look for the mark
_LOOKED_AT_BYTES = 4096
_HTML_BEGINNING = re.compile(
    rb"\A(?:\xef\xbb\xbf|\s|<\?xml[^>]*>|<!--.*?-->)*<(?:!doctype\s+html|html|head|body|title|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
_FORMATS = (
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"\xd0\xcf\x11\xe0", "an office document of the old format"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
)
_QUOTED_HEADER_CHARS = 60  # of a header in an error


def check_stated_type(media_type: str) -> None:
    """Raise ToolError for a type of which no text is expected."""
    if media_type.startswith(_FAMILIES_WITHOUT_TEXT):
        raise _build_error(media_type, "")


def is_read_type(media_type: str) -> bool:
    """Whether a stated type is one of those that are read."""
    return media_type.strip().lower() in _HTML_TYPES | _TEXT_TYPES | {PDF}


def recognise_type(media_type: str, body: bytes) -> str:
    """The type to read a page as: HTML, PDF, or text (one of the text types, as stated).

    Raises ToolError, which names what the page is, where it is none of them.
    """
    if _PDF_MARK in body[:_PDF_MARK_BYTES]:
        return PDF
    for beginning, name in _FORMATS:
        if body.startswith(beginning):
            raise _build_error(media_type, name)
    if media_type in _HTML_TYPES | _TEXT_TYPES:
        return media_type
    if _HTML_BEGINNING.match(body[:_LOOKED_AT_BYTES]):
        return HTML
    # UTF-16 has zeros; binary formats have other control characters too.
    beginning = body[:_LOOKED_AT_BYTES]
    if not body or b"\0" in beginning or not _is_utf8(beginning):
        raise _build_error(media_type, "")
    return TEXT


def _is_utf8(beginning: bytes) -> bool:
    try:
        beginning.decode()
    except UnicodeDecodeError as error:
        # The end may be in the middle of a character.
        return error.start >= len(beginning) - 3
    return True


def _build_error(media_type: str, name: str) -> ToolError:
    stated = plain_line(media_type)[:_QUOTED_HEADER_CHARS] or "of no stated type"
    described = f"{name}, stated as {stated}" if name else stated
    return ToolError(f"read: the page is {described}; HTML, PDF and plain text are read")
