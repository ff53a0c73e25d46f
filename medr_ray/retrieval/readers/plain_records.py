"""The lines of a document's text, as the readers make them."""

from collections.abc import Iterable


def to_single_line(text: str) -> str:
    """The text on one line, because a line break ends a sentence."""
    return " ".join(text.split())


def format_text(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """The text of a document: its title, then ``heading: content`` for each section that has
    content, a line each."""
    lines = [title]
    for heading, content in sections:
        if content.strip():
            lines.append(f"{heading}: {to_single_line(content)}")
    return "\n".join(lines)


def parse_year(date: str) -> int | None:
    """The year of a date that begins with it ("2009-08-25", "20200331"); None for other text."""
    # ``len`` as well, because "201" is decimal and no year.
    return int(date[:4]) if date[:4].isdecimal() and len(date) >= 4 else None
