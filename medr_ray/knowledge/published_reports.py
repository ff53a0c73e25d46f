"""Reports: the year and journal that first published a fact.

An abstract states much that is also true of other diseases or drugs, and much that is written in
other articles too. So what rests on an abstract alone names the report: "reported in 1977 in The
American journal of medicine".
"""

import re

# What follows a journal's title in citations: "(New York, N.Y.)", " : the journal of hernias",
# " = Revista ...", a final full stop.
_TITLE_ADDITION = re.compile(r"\s*(?:\([^)]*\)|\s:\s.*|\s=\s.*|\.$)")


def format_report(year: int | None, journal: str) -> str:
    """A report such as "reported in 1977 in Chest"; "" where the journal or a year of four digits
    is missing."""
    title = " ".join(_TITLE_ADDITION.sub("", journal).split())
    if not title or not year or not 1000 <= year <= 9999:
        return ""
    return f"reported in {year} in {title}"


def is_report(qualifier: str) -> bool:
    """Whether a qualifier names a report."""
    return qualifier.startswith("reported ")
