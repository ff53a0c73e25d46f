"""Ranks of journals: SCImago Journal Rank, as downloaded from
https://www.scimagojr.com/journalrank.php.

The file is a table separated by ``;`` with decimal commas, plain or gzip, a row per journal with
the columns ``Title``, ``Issn`` (eight characters each, without the hyphen, joined by commas) and
``SJR``. A journal counts by its place among the ranked ones, because SJR itself has a long tail.
Anyone who uses the ranks must attribute them to SCImago.
"""

import bisect
import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from medr_ray.core.errors import DataError
from medr_ray.knowledge.vocabulary_reading import as_text, open_vocabulary

_SJR = re.compile(r"\d+(?:[.,]\d+)?")  # journals too new to be ranked have none
_ISSN = re.compile(r"\d{7}[\dX]")
_TITLE_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class JournalRanks:
    """The share of the ranked journals that lie below each one, in [0, 1), by ISSN and by title."""

    _by_issn: Mapping[str, float] = field(repr=False)
    _by_title: Mapping[str, float] = field(repr=False)

    @classmethod
    def load(cls, path: str) -> "JournalRanks":
        """DataError for a file that is missing or lacks the columns of the format."""
        with open_vocabulary(path) as stream:
            rows = csv.DictReader(as_text(stream), delimiter=";")
            missing = {"Title", "Issn", "SJR"} - set(rows.fieldnames or ())
            if missing:
                raise DataError(
                    f"{path}: no column {', '.join(sorted(missing))}: retrieval.journal_ranks is "
                    "a SCImago Journal Rank table, separated by ';'"
                )
            return cls._from_rows((row["Title"], row["Issn"], row["SJR"]) for row in rows)

    @classmethod
    def _from_rows(cls, rows: Iterable[tuple[str, str, str]]) -> "JournalRanks":
        """From (title, ISSNs, SJR) of each journal."""
        ranked = []
        for title, issns, sjr in rows:
            if _SJR.fullmatch(sjr):
                ranked.append((title, issns, float(sjr.replace(",", "."))))
        scores = sorted(score for _, _, score in ranked)
        by_issn: dict[str, float] = {}
        by_title: dict[str, float] = {}
        for title, issns, score in ranked:
            # Journals of equal score have equal shares: ``bisect_left`` counts those strictly
            # below.
            share = bisect.bisect_left(scores, score) / len(scores)
            by_issn.update(dict.fromkeys(_ISSN.findall(issns), share))
            # Several journals may share a title. The first row has it; in SCImago's table that is
            # the best.
            by_title.setdefault(_normalize_title(title), share)
        return cls(by_issn, by_title)

    def rank_share(self, issn: str, title: str) -> float | None:
        """A journal's place by its ISSN, else by its title; None for one that is not ranked."""
        by_title = self._by_title.get(_normalize_title(title))
        return self._by_issn.get(issn.replace("-", "").upper(), by_title)


def _normalize_title(text: str) -> str:
    return " ".join(_TITLE_WORD.findall(text.casefold()))
