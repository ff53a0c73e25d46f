"""Clinical authority of a document, in [0, 1]: how much its evidence counts (Auth of the paper's
section 2.2).

The level follows from the kind of evidence. For citations the kind is the highest that their MeSH
publication types (unique identifiers) allow; other sources state their kind.

| level | kind | what it covers |
| --- | --- | --- |
| 1.00 | guideline | practice guideline, guideline, consensus conference |
| 0.95 | record | curated: ontology annotations (HPO), a regulator's decision (FDA approval) |
| 0.90 | systematic_review | systematic review, meta-analysis |
| 0.90 | label | prescribing information that a regulator approved |
| 0.85 | monograph | an editors' review of one drug (LiverTox) |
| 0.80 | randomised_trial | randomised or phase III/IV trial; a registered one with results |
| 0.65 | trial | controlled or other clinical trial; a registered one with results |
| 0.55 | observational | observational (cohort), multicentre, comparative, evaluation study |
| 0.40 | review, article | review, journal article of no further type |
| 0.40 | registration | a registered study without results: what is being tried, no evidence yet |
| 0.25 | case_report | case report |
| 0.15 | preprint | preprint; historical articles, of kind article, share the level |
| 0.10 | opinion | editorial, letter, comment, news, interview, lecture, biography |
| 0.00 | (any) | retracted publication, notice of retraction, expression of concern |

A lower kind caps a plain article: a letter that is also a "Journal Article" stays at opinion. The
order is the usual hierarchy of evidence (OCEBM 2011); the numbers only space it out.

The journal's rank and the year shift the level a little. The median journal and a document as old
as the half-life shift nothing; neither does an unknown rank or year. Without ranks, and with a
recency weight of 0, authority is the level. A retracted document has none, whatever else it is.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

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
_GUIDELINE = "guideline"
_ARTICLE = "article"
# Sources all of whose documents are of one kind. Trials state their kind record by record.
_KIND_OF_SOURCE = {
    HPO: "record",
    FDA_APPROVALS: "record",
    FDA_LABELS: "label",
    LIVERTOX: "monograph",
}


class _TypeRule(NamedTuple):
    """The kind and level of a citation with one of these publication types (MeSH UIs)."""

    kind: str
    level: float
    types: frozenset[str]


# Practice guideline, guideline, and the consensus development conferences (in general, of the NIH).
_GUIDELINE_TYPES = frozenset({"D017065", "D016431", "D016446", "D016447"})
# Editorial, letter, comment, news, interview, lecture, biography.
_OPINION_TYPES = frozenset(
    {"D016421", "D016422", "D016420", "D016433", "D017203", "D019531", "D019215"}
)
# The first rule that applies counts. Strong kinds come first, the strongest at the top; then the
# weak ones, the weakest at the top, so that a letter that is also a review is an opinion.
_TYPE_RULES = (
    # Systematic review, meta-analysis.
    _TypeRule("systematic_review", 0.90, frozenset({"D000078182", "D017418"})),
    # Randomised controlled trial, clinical trial of phase III, of phase IV.
    _TypeRule("randomised_trial", 0.80, frozenset({"D016449", "D017428", "D017429"})),
    # Controlled clinical trial, clinical trial, of phase I, of phase II.
    _TypeRule("trial", 0.65, frozenset({"D018848", "D016430", "D017426", "D017427"})),
    # Observational, multicentre, comparative, evaluation study.
    _TypeRule("observational", 0.55, frozenset({"D064888", "D016448", "D003160", "D023362"})),
    _TypeRule("opinion", 0.10, _OPINION_TYPES),
    _TypeRule("preprint", 0.15, frozenset({"D000076942"})),
    _TypeRule(_ARTICLE, 0.15, frozenset({"D016456"})),  # historical article
    _TypeRule("case_report", 0.25, frozenset({"D002363"})),
    _TypeRule("review", 0.40, frozenset({"D016454"})),
)
# Retracted publication, retraction of publication, expression of concern.
_WITHDRAWN_TYPES = frozenset({"D016441", "D016440", "D000075742"})
_RETRACTION_AMOUNT = -2.0  # more than any sum of the other factors, which is then cut at 0


def evidence_kind(document: Document) -> str:
    """The kind of evidence: one of ``KINDS``."""
    if document.evidence:
        return document.evidence
    types = frozenset(document.publication_types)
    if _is_guideline(document.source, types):
        return _GUIDELINE
    return _classify_evidence(document.source, types)[0]


def authority_level(source: str, publication_types: Collection[str], retracted: bool) -> float:
    """The level of a document of ``source`` with these publication type UIs."""
    types = frozenset(publication_types)
    if retracted or types & _WITHDRAWN_TYPES:
        return 0.0
    return 1.0 if _is_guideline(source, types) else _classify_evidence(source, types)[1]


def _is_guideline(source: str, types: frozenset[str]) -> bool:
    return source not in _KIND_OF_SOURCE and bool(types & _GUIDELINE_TYPES)


def _classify_evidence(source: str, types: frozenset[str]) -> tuple[str, float]:
    """Kind and level, guideline status aside."""
    if source in _KIND_OF_SOURCE:
        kind = _KIND_OF_SOURCE[source]
        return kind, LEVELS[kind]
    for rule in _TYPE_RULES:
        if types & rule.types:
            return rule.kind, rule.level
    return _ARTICLE, LEVELS[_ARTICLE]


@dataclass(frozen=True)
class Authority:
    """A document's authority and the factors that add up to it."""

    level: float
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class Appraiser:
    """Judges documents.

    ``journal_weight`` and ``recency_weight`` are the distance between the best and the worst
    journal and year; ``half_life`` is in years, ``now`` the year that age is counted from.
    """

    journals: JournalRanks | None = None
    journal_weight: float = 0.0
    recency_weight: float = 0.0
    half_life: float = 10.0
    now: int = 0

    def appraise(self, document: Document) -> Authority:
        """Authority in [0, 1], explained."""
        total = 0.0
        factors = []
        for amount in self._list_amounts(document):
            # Bounded step by step, so that the factors add up to the level.
            bounded = min(1.0, max(0.0, total + amount.contribution))
            factors.append(Factor(amount.name, amount.value, bounded - total))
            total = bounded
        return Authority(total, tuple(factors))

    def _list_amounts(self, document: Document) -> list[Factor]:
        """The factors before they are bounded."""
        types = frozenset(document.publication_types)
        kind, level = _classify_evidence(document.source, types)
        # What the source states beats what its publication types suggest, as in ``evidence_kind``.
        if document.evidence:
            kind = document.evidence
            level = LEVELS[kind]
        amounts = [Factor("evidence", kind, level)]
        if _is_guideline(document.source, types):
            amounts.append(Factor(_GUIDELINE, "flagged as a guideline", 1.0 - level))
        amounts += [*self._judge_journal(document), *self._judge_recency(document)]
        if document.retracted or types & _WITHDRAWN_TYPES:
            amounts.append(Factor("retraction", "retracted, or a notice of it", _RETRACTION_AMOUNT))
        return amounts

    def _judge_journal(self, document: Document) -> list[Factor]:
        share = self.journals.rank_share(document.issn, document.journal) if self.journals else None
        if share is None:
            return []
        value = f"{document.journal}: above {share:.0%} of the ranked journals"
        # Centred on the median journal, so that a ranked journal can also lower the level.
        return [Factor("journal", value, self.journal_weight * (share - 0.5))]

    def _judge_recency(self, document: Document) -> list[Factor]:
        if not self.recency_weight or document.year is None:
            return []
        # Exponential decay: 1 for a document of this year, 1/2 at the half-life, where nothing is
        # shifted.
        freshness = 0.5 ** (max(0, self.now - document.year) / self.half_life)
        amount = self.recency_weight * (freshness - 0.5)
        return [Factor("recency", str(document.year), amount)]
