"""How common diseases are among people: Orphadata product 9, "epidemiological data: prevalence" (CC
BY 4.0).

The file lists, for each disorder, figures of several kinds, places and authorities.
``read_prevalence`` keeps one for each: point prevalence before prevalence at birth before lifetime
prevalence, validated before not, worldwide before a region, a value before a class; of equals the
median. Incidences and numbers of cases or families are no prevalence.

A figure is the value (``ValMoy``, per 100,000) where one is given, else the geometric mean of the
bounds of its class: "1-9 / 100 000" is 3e-5. An open class is taken to span a decade: "<1 / 1 000
000" is 1e-7 to 1e-6, ">1 / 1000" is 1e-3 to 1e-2.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from medr_ray.knowledge.hpo import record_order
from medr_ray.knowledge.lexicon import Concept, normalise
from medr_ray.knowledge.predicates import DISEASE
from medr_ray.knowledge.vocabulary_reading import (
    Skipped,
    VocabularyReport,
    open_vocabulary,
    read_elements,
    text_of,
)

_KINDS = ("Point prevalence", "Prevalence at birth", "Lifetime Prevalence")  # best first
_NO_PREVALENCE = frozenset(("Annual incidence", "Cases/families"))
_WORLDWIDE, _VALIDATED = "Worldwide", "Validated"
_CLASSES = {
    "<1 / 1 000 000": (1e-7, 1e-6),
    "1-9 / 1 000 000": (1e-6, 9e-6),
    "1-9 / 100 000": (1e-5, 9e-5),
    "1-5 / 10 000": (1e-4, 5e-4),
    "6-9 / 10 000": (6e-4, 9e-4),
    ">1 / 1000": (1e-3, 1e-2),
}
_UNKNOWN_CLASSES = frozenset(("", "Unknown", "Not yet documented"))
_EXPECTED = "the XML of Orphadata product 9, prevalence"
_REMARK = re.compile(r"^NON RARE IN [A-Z]+: ")  # before a name, no part of it
_PER = 100_000  # people; what ValMoy counts in
_SHOWN_SOURCE = 80  # characters of a list of references


@dataclass(frozen=True)
class Prevalence:
    """One figure of ``disorder`` ("ORPHA:<number>", called ``name``): ``value`` as a share of
    people, its ``kind`` and ``place`` in Orphanet's words, whether Orphanet has ``validated`` it,
    whether it is ``exact`` or only a class, and the references it names."""

    disorder: str
    name: str
    value: float
    kind: str
    place: str
    validated: bool
    exact: bool
    references: str

    def describe_source(self) -> str:
        """Whose figure it is, of what kind and where, in one line."""
        state = "validated" if self.validated else "not yet validated"
        figure = "value" if self.exact else "class"
        cited = (
            self.references
            if len(self.references) <= _SHOWN_SOURCE
            else self.references[: _SHOWN_SOURCE - 1] + "…"
        )
        return (
            f"{self.disorder} ({self.name}): {self.kind.lower()}, {self.place}, {figure}, "
            f"{state}; {cited or '-'}"
        )


@dataclass(frozen=True)
class PrevalenceTable:
    """The figure kept for each disorder that has one, by "ORPHA:<number>"; how many disorders the
    file lists, how many of its figures make no sense, and the first of those with their places."""

    by_disorder: Mapping[str, Prevalence]
    disorder_count: int
    bad_count: int
    skipped: tuple[Skipped, ...]


def read_prevalence(path: str) -> PrevalenceTable:
    """The table of a product 9 prevalence file, plain XML or gzip, at a path or a URI. A bad figure
    is counted and left out; DataError when the file is missing, damaged or no such product."""
    report = VocabularyReport(path)
    kept: dict[str, Prevalence] = {}
    disorders = 0
    with open_vocabulary(path) as stream:
        for where, disorder in read_elements(stream, report, ("Disorder",), _EXPECTED):
            disorders += 1
            figures = _read_figures(where, disorder, report)
            if figures:
                kept[figures[0].disorder] = _select_best(figures)
    if not disorders:
        raise report.format_error(_EXPECTED, "no <Disorder>")
    return PrevalenceTable(kept, disorders, report.bad_count, tuple(report.skipped))


def _read_figures(where: str, disorder: Any, report: VocabularyReport) -> list[Prevalence]:
    """The prevalences of a <Disorder>; those of its figures that make no sense are reported."""
    figures = []
    code, name = text_of(disorder, "OrphaCode"), _REMARK.sub("", text_of(disorder, "Name"))
    for element in disorder.iterfind("PrevalenceList/Prevalence"):
        try:
            figure = _parse_figure(f"ORPHA:{_parse_orpha_code(code)}", name, element)
        except ValueError as error:
            report.skip_record(where, str(error))
            continue
        if figure is not None:
            figures.append(figure)
    return figures


def _parse_orpha_code(code: str) -> int:
    if not code.isdecimal():
        raise ValueError(f"OrphaCode {code!r}")
    return int(code)


def _parse_figure(disorder: str, name: str, element: Any) -> Prevalence | None:
    """One <Prevalence>; None when it is no prevalence or unknown. ValueError when it makes no
    sense."""
    kind = text_of(element, "PrevalenceType/Name")
    if kind in _NO_PREVALENCE:
        return None
    if kind not in _KINDS:
        raise ValueError(f"PrevalenceType {kind!r}")
    exact = float(text_of(element, "ValMoy") or 0) / _PER
    value = exact or _class_mean(text_of(element, "PrevalenceClass/Name"))
    if value is None:
        return None
    if not 0 < value <= 1:
        raise ValueError(f"ValMoy {exact * _PER:g}")
    return Prevalence(
        disorder,
        name,
        value,
        kind,
        text_of(element, "PrevalenceGeographic/Name"),
        text_of(element, "PrevalenceValidationStatus/Name") == _VALIDATED,
        exact > 0,
        text_of(element, "Source"),
    )


def _class_mean(label: str) -> float | None:
    """The geometric mean of a class's bounds. ValueError for a class that is none."""
    if label in _UNKNOWN_CLASSES:
        return None
    if label not in _CLASSES:
        raise ValueError(f"PrevalenceClass {label!r}")
    return math.sqrt(math.prod(_CLASSES[label]))


def _select_best(figures: Iterable[Prevalence]) -> Prevalence:
    """The one to keep; of equally good figures (several regions, several studies) the lower
    median."""
    ranked = sorted(
        figures, key=lambda figure: (_figure_rank(figure), figure.value, figure.references)
    )
    equals = [figure for figure in ranked if _figure_rank(figure) == _figure_rank(ranked[0])]
    return equals[(len(equals) - 1) // 2]


def _figure_rank(one: Prevalence) -> tuple[int, bool, bool, bool]:
    return _KINDS.index(one.kind), not one.validated, one.place != _WORLDWIDE, not one.exact


def match_prevalence(table: PrevalenceTable, concepts: Iterable[Concept]) -> dict[str, Prevalence]:
    """The figure of each concept that has one, by concept id, sorted.

    A disorder belongs to the concept with its ORPHA id, else to the one that has it among its
    ``xrefs``, else to the disease that carries exactly its name. Where several disorders lead to
    one concept the surer way wins, then the lower ORPHA number; an xref or a name that two concepts
    share leads to the first by id.
    """
    # So that the first by id is written last.
    concepts_known = sorted(concepts, key=lambda concept: concept.concept_id, reverse=True)
    diseases = [concept for concept in concepts_known if concept.entity_type == DISEASE]
    ways = (
        {concept.concept_id: concept.concept_id for concept in concepts_known},
        {xref: concept.concept_id for concept in concepts_known for xref in concept.xrefs},
        {form: disease.concept_id for disease in diseases for form in disease.forms}
        | {normalise(disease.name): disease.concept_id for disease in diseases},
    )
    claims: dict[str, tuple[int, tuple[int, int, str], Prevalence]] = {}
    for disorder, figure in table.by_disorder.items():
        keys = (disorder, disorder, normalise(figure.name))
        owners = [ids.get(key) for ids, key in zip(ways, keys, strict=True)]
        surest = next((way for way, owner in enumerate(owners) if owner), None)
        if surest is not None and (owner := owners[surest]):
            claim = (surest, record_order(disorder), figure)
            claims[owner] = min(claims.get(owner, claim), claim, key=lambda claim: claim[:2])
    return {concept_id: claim[2] for concept_id, claim in sorted(claims.items())}
