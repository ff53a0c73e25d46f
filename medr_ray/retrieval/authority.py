"""Clinical authority of a document, in [0, 1]: how much its evidence counts (Auth of the paper's
section 2.2).

The level follows from the kind of evidence: for citations from the MeSH publication types (unique
identifiers), the highest that applies; other sources state their kind.

| level | kind | what it covers |
| --- | --- | --- |
| 1.00 | guideline | practice guideline, guideline, consensus conference |
| 0.95 | record | curated record: ontology annotations (HPO), a regulator's decision (FDA approval) |
| 0.90 | systematic_review | systematic review, meta-analysis |
| 0.90 | label | prescribing information that a regulator approved |
| 0.85 | monograph | an editors' review of one drug (LiverTox) |
| 0.80 | randomised_trial | randomised controlled trial, phase III or IV trial; a registered one with results |
| 0.65 | trial | controlled or other clinical trial; a registered one with results |
| 0.55 | observational | observational (cohort), multicentre, comparative or evaluation study |
| 0.40 | review, article | review, journal article of no further type |
| 0.40 | registration | a registered study without results: what is being tried, not whether it works |
| 0.25 | case_report | case report |
| 0.15 | preprint | preprint; historical articles, of kind article, share the level |
| 0.10 | opinion | editorial, letter, comment, news, interview, lecture, biography |
| 0.00 | (any) | retracted publication, notice of retraction, expression of concern |

A lower kind caps a plain article: a letter that is also a "Journal Article" stays at opinion. The
order is the usual hierarchy of evidence (OCEBM 2011); the numbers only space it out.

On top of the level come the journal's rank and the year, each as a small shift around what is
ordinary: the median journal and a document as old as the half-life shift nothing, and nothing is
shifted where rank or year are unknown. Without ranks, and with a recency weight of 0, authority is
the level. What is retracted has none, whatever else it is.
"""

from collections.abc import Collection
from dataclasses import dataclass

from medr_ray.retrieval.documents import FDA_APPROVALS, FDA_LABELS, HPO, LIVERTOX, Document
from medr_ray.retrieval.explanation import Factor
from medr_ray.retrieval.journals import JournalRanks

LEVELS = {
    "guideline": 1.00,
    "record": 0.95,
    "systematic_review": 0.90,
    "label": 0.90,
    "monograph": 0.85,
    "randomised_trial": 0.80,
    "trial": 0.65,
    "observational": 0.55,
    "review": 0.40,
    "article": 0.40,
    "registration": 0.40,
    "case_report": 0.25,
    "preprint": 0.15,
    "opinion": 0.10,
}
KINDS = tuple(LEVELS)
CURATED_SOURCES = frozenset({HPO})
_GUIDELINE, _ARTICLE = "guideline", "article"
_OF_SOURCE = {HPO: "record", FDA_APPROVALS: "record", FDA_LABELS: "label", LIVERTOX: "monograph"}

_Rows = tuple[tuple[str, float, frozenset[str]], ...]
_GUIDELINES = frozenset({"D017065", "D016431", "D016446", "D016447"})
_STRONG: _Rows = (
    ("systematic_review", 0.90, frozenset({"D000078182", "D017418"})),
    ("randomised_trial", 0.80, frozenset({"D016449", "D017428", "D017429"})),
    ("trial", 0.65, frozenset({"D018848", "D016430", "D017426", "D017427"})),
    ("observational", 0.55, frozenset({"D064888", "D016448", "D003160", "D023362"})),
)
_WEAK: _Rows = (
    (
        "opinion",
        0.10,
        frozenset({"D016421", "D016422", "D016420", "D016433", "D017203", "D019531", "D019215"}),
    ),
    ("preprint", 0.15, frozenset({"D000076942"})),
    (_ARTICLE, 0.15, frozenset({"D016456"})),
    ("case_report", 0.25, frozenset({"D002363"})),
    ("review", 0.40, frozenset({"D016454"})),
)
_WITHDRAWN = frozenset({"D016441", "D016440", "D000075742"})


def kind_of(document: Document) -> str:
    """The kind of evidence: one of ``KINDS``."""
    return document.evidence or _kind(document.source, frozenset(document.publication_types))


def authority(source: str, publication_types: Collection[str], retracted: bool) -> float:
    """The level of a document of ``source`` with these publication type UIs."""
    types = frozenset(publication_types)
    if retracted or types & _WITHDRAWN:
        return 0.0
    return 1.0 if _is_guideline(source, types) else _level(source, types)


def _is_guideline(source: str, types: frozenset[str]) -> bool:
    return source not in _OF_SOURCE and bool(types & _GUIDELINES)


def _kind(source: str, types: frozenset[str]) -> str:
    return _GUIDELINE if _is_guideline(source, types) else _evidence(source, types)[0]


def _level(source: str, types: frozenset[str]) -> float:
    return _evidence(source, types)[1]


def _evidence(source: str, types: frozenset[str]) -> tuple[str, float]:
    """Kind and level, guideline status aside."""
    if source in _OF_SOURCE:
        return _OF_SOURCE[source], LEVELS[_OF_SOURCE[source]]
    for kind, level, uis in (*_STRONG, *_WEAK):
        if types & uis:
            return kind, level
    return _ARTICLE, LEVELS[_ARTICLE]


@dataclass(frozen=True)
class Authority:
    """A document's authority and the factors that add up to it."""

    level: float
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class Appraiser:
    """Judges documents. ``journal_weight`` and ``recency_weight`` are how far the best and the
    worst lie apart; ``half_life`` is in years, ``now`` the year that age is counted from."""

    journals: JournalRanks | None = None
    journal_weight: float = 0.0
    recency_weight: float = 0.0
    half_life: float = 10.0
    now: int = 0

    def appraise(self, document: Document) -> Authority:
        """Authority in [0, 1], explained."""
        total, factors = 0.0, []
        for name, found, amount in self._amounts(document):
            bounded = min(1.0, max(0.0, total + amount))
            factors.append(Factor(name, found, bounded - total))
            total = bounded
        return Authority(total, tuple(factors))

    def _amounts(self, document: Document) -> list[tuple[str, str, float]]:
        types = frozenset(document.publication_types)
        kind, level = _evidence(document.source, types)
        if document.evidence:
            kind, level = document.evidence, LEVELS[document.evidence]
        amounts = [("evidence", kind, level)]
        if _is_guideline(document.source, types):
            amounts.append((_GUIDELINE, "flagged as a guideline", 1.0 - level))
        amounts += [*self._journal(document), *self._recency(document)]
        if document.retracted or types & _WITHDRAWN:
            amounts.append(("retraction", "retracted, or a notice of it", -2.0))
        return amounts

    def _journal(self, document: Document) -> list[tuple[str, str, float]]:
        share = self.journals.share(document.issn, document.journal) if self.journals else None
        if share is None:
            return []
        return [
            (
                "journal",
                f"{document.journal}: above {share:.0%} of the ranked journals",
                self.journal_weight * (share - 0.5),
            )
        ]

    def _recency(self, document: Document) -> list[tuple[str, str, float]]:
        if not self.recency_weight or document.year is None:
            return []
        freshness = 0.5 ** (max(0, self.now - document.year) / self.half_life)
        return [("recency", str(document.year), self.recency_weight * (freshness - 0.5))]
