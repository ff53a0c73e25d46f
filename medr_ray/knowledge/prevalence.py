"""How common diseases are among people: Orphadata product 9, "epidemiological data: prevalence" (CC
BY 4.0).

The file lists several figures for each disorder: of different kinds, places and sources.
``read_prevalence`` keeps one for each disorder: point prevalence before prevalence at birth before
lifetime prevalence, validated before not validated, worldwide before a region, a value before a
class. Of equally good figures it keeps the median. Incidences and numbers of cases or families are
not prevalences.

A figure is the value (``ValMoy``, per 100,000) where the file gives one, else the geometric mean of
the bounds of its class (``PrevalenceClass``): "1-9 / 100 000" is 3e-5. An open class is taken to
span a decade: "<1 / 1 000 000" is 1e-7 to 1e-6, ">1 / 1000" is 1e-3 to 1e-2.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medr_ray.knowledge.hpo import record_order
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import DISEASE
from medr_ray.knowledge.registries.orphanet_records import PrintedPrevalence, read_prevalences
from medr_ray.knowledge.registries.snapshot import Statement, read_statements, read_titles
from medr_ray.knowledge.vocabulary_reading import (
    SkippedRecord,
    VocabularyReport,
    open_vocabulary,
    read_disorder_name,
    read_elements,
    text_of,
)

_KINDS = ("Point prevalence", "Prevalence at birth", "Lifetime Prevalence")  # best first
_NO_PREVALENCE = frozenset(("Annual incidence", "Cases/families"))
_WORLDWIDE = "Worldwide"
_VALIDATED = "Validated"
# The bounds of each class, as shares of people.
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
_VALUE_BASE = 100_000  # people; the unit of ValMoy
# The path of a figure's element in the path of one of its fields.
_ELEMENT_OF_FIGURE = re.compile(r"PrevalenceList/Prevalence\[\d+\]")
_MESH = "MESH:"
_ORPHANET = "ORPHA:"
_MAX_CITED = 80  # characters of the list of references in a description


@dataclass(frozen=True)
class Prevalence:
    """One figure of ``disorder`` ("ORPHA:<number>", called ``name``).

    ``value`` is a share of people. ``kind``, ``place`` and ``group`` (whether the disorder is a
    group of disorders) are in Orphanet's words. ``exact`` when the value is given and not only a
    class. ``references`` are those that Orphanet names.
    """

    disorder: str
    name: str
    value: float
    kind: str
    place: str
    validated: bool
    exact: bool
    references: str
    group: str = ""

    def describe_source(self) -> str:
        """The disorder, kind, place, state and references of the figure in one line."""
        state = "validated" if self.validated else "not yet validated"
        figure = "value" if self.exact else "class"
        cited = self.references
        if len(cited) > _MAX_CITED:
            cited = cited[: _MAX_CITED - 1] + "…"
        return (
            f"{self.disorder} ({self.name}): {self.kind.lower()}, {self.place}, {figure}, "
            f"{state}; {cited or '-'}"
        )


@dataclass(frozen=True)
class PrevalenceTable:
    """The figure kept for each disorder that has one, by "ORPHA:<number>".

    ``disorder_count`` counts the disorders of the file, ``bad_count`` its bad figures, of which
    ``skipped`` names the first.
    """

    by_disorder: Mapping[str, Prevalence]
    disorder_count: int
    bad_count: int
    skipped: tuple[SkippedRecord, ...]


def read_prevalence(path: str) -> PrevalenceTable:
    """The table of a product 9 prevalence file, plain XML or gzip, at a path or a URI.

    A bad figure is counted and left out. Raises DataError when the file is missing, damaged or
    another product.
    """
    report = VocabularyReport(path)
    kept: dict[str, Prevalence] = {}
    disorder_count = 0
    with open_vocabulary(path) as stream:
        for where, disorder in read_elements(stream, report, ("Disorder",), _EXPECTED):
            disorder_count += 1
            figures = _read_figures(where, disorder, report)
            if figures:
                kept[figures[0].disorder] = _select_best(figures)
    if not disorder_count:
        raise report.build_format_error(_EXPECTED, "no <Disorder>")
    return PrevalenceTable(kept, disorder_count, report.bad_count, tuple(report.skipped))


def load_prevalence() -> PrevalenceTable:
    """The table of Orphanet's edition in the embedded snapshot."""
    names = read_titles("orphanet")
    report = VocabularyReport("the embedded snapshot of Orphanet")
    groups = {
        statement.subject: statement.text
        for statement in read_statements("orphanet", ["disorder_group"])
    }
    figures: dict[str, list[Prevalence]] = {}
    for disorder, printed in _read_embedded_figures():
        code = disorder.removeprefix(_ORPHANET)
        where = f"{disorder}, {printed.path}"
        group = groups.get(disorder, "")
        figure = _try_figure(where, code, names[disorder], group, printed, report)
        if figure is not None:
            figures.setdefault(disorder, []).append(figure)
    kept = {disorder: _select_best(of_disorder) for disorder, of_disorder in figures.items()}
    return PrevalenceTable(kept, len(names), report.bad_count, tuple(report.skipped))


def _read_embedded_figures() -> Iterator[tuple[str, PrintedPrevalence]]:
    """(disorder, figure): a figure's class and value are two facts of one element."""
    classes: dict[tuple[str, str], Statement] = {}
    values: dict[tuple[str, str], Statement] = {}
    by_predicate = {"has_prevalence": classes, "prevalence_value": values}
    for statement in read_statements("orphanet", tuple(by_predicate)):
        element = _ELEMENT_OF_FIGURE.match(statement.field)
        path = element[0] if element else statement.field
        by_predicate[statement.predicate][path, statement.subject] = statement
    for path, disorder in classes | values:
        label, mean = classes.get((path, disorder)), values.get((path, disorder))
        qualifiers = (label or mean).qualifiers  # type: ignore[union-attr]
        printed = PrintedPrevalence(
            path,
            qualifiers.get("kind", ""),
            "",
            label.text if label else "",
            mean.text if mean else "",
            qualifiers.get("place", ""),
            qualifiers.get("status", ""),
            qualifiers.get("reference", ""),
        )
        yield disorder, printed


def _read_figures(where: str, disorder: Any, report: VocabularyReport) -> list[Prevalence]:
    """The known prevalences of a <Disorder>; bad figures are reported."""
    figures = []
    code = text_of(disorder, "OrphaCode")
    name = read_disorder_name(disorder)
    group = text_of(disorder, "DisorderGroup/Name")
    for printed in read_prevalences(disorder):
        figure = _try_figure(where, code, name, group, printed, report)
        if figure is not None:
            figures.append(figure)
    return figures


def _try_figure(
    where: str,
    code: str,
    name: str,
    group: str,
    printed: PrintedPrevalence,
    report: VocabularyReport,
) -> Prevalence | None:
    """The figure of a disorder; None when it is no known prevalence, or is bad and reported."""
    try:
        return _parse_figure(f"{_ORPHANET}{_parse_orpha_code(code)}", name, group, printed)
    except ValueError as error:
        report.skip_record(where, str(error))
        return None


def _parse_orpha_code(code: str) -> int:
    if not code.isdecimal():
        raise ValueError(f"OrphaCode {code!r}")
    return int(code)


def _parse_figure(
    disorder: str, name: str, group: str, printed: PrintedPrevalence
) -> Prevalence | None:
    """The figure of a <Prevalence>; None when it is not a prevalence or its value is unknown.

    Raises ValueError for an unknown kind or class, and for a value that is not a share.
    """
    kind = printed.kind
    if kind in _NO_PREVALENCE:
        return None
    if kind not in _KINDS:
        raise ValueError(f"PrevalenceType {kind!r}")
    # No value, or a value of 0, leaves it to the class.
    exact = float(printed.mean or 0) / _VALUE_BASE
    value = exact or _class_mean(printed.prevalence_class)
    if value is None:
        return None
    if not 0 < value <= 1:
        raise ValueError(f"ValMoy {exact * _VALUE_BASE:g}")
    return Prevalence(
        disorder,
        name,
        value,
        kind,
        printed.place,
        printed.status == _VALIDATED,
        exact > 0,
        printed.source,
        group,
    )


def _class_mean(label: str) -> float | None:
    """The geometric mean of a class's bounds; None for an unknown prevalence. Raises ValueError for
    a label that is not a class."""
    if label in _UNKNOWN_CLASSES:
        return None
    if label not in _CLASSES:
        raise ValueError(f"PrevalenceClass {label!r}")
    return math.sqrt(math.prod(_CLASSES[label]))


def _select_best(figures: Iterable[Prevalence]) -> Prevalence:
    """The figure to keep; of equally good figures (several regions or studies) the lower median."""
    ranked = sorted(
        figures, key=lambda figure: (_figure_rank(figure), figure.value, figure.references)
    )
    best_rank = _figure_rank(ranked[0])
    equals = [figure for figure in ranked if _figure_rank(figure) == best_rank]
    return equals[(len(equals) - 1) // 2]


def _figure_rank(figure: Prevalence) -> tuple[int, bool, bool, bool]:
    """Sort key of figures, the best first."""
    return (
        _KINDS.index(figure.kind),
        not figure.validated,
        figure.place != _WORLDWIDE,
        not figure.exact,
    )


def match_prevalence(table: PrevalenceTable, concepts: Iterable[Concept]) -> dict[str, Prevalence]:
    """The figure of each concept that has one, by concept id, sorted.

    A disorder belongs to the concept with its ORPHA id, else to the concept that has this id among
    its ``xrefs``, else to the disease with its name (``fold_name``). Of the entry terms of a MeSH
    heading only those of the heading's own words count: others may be another disease's. Where
    several disorders lead to one concept, the surer of these ways wins, then the lower ORPHA
    number. An xref or a name of two concepts leads to the first by id.
    """
    # In reverse, because the last concept to claim a key keeps it: that must be the first by id.
    reversed_concepts = sorted(concepts, key=lambda concept: concept.concept_id, reverse=True)
    diseases = [concept for concept in reversed_concepts if concept.entity_type == DISEASE]
    concept_by_id = {concept.concept_id: concept.concept_id for concept in reversed_concepts}
    concept_by_xref = {
        xref: concept.concept_id for concept in reversed_concepts for xref in concept.xrefs
    }
    concept_by_name = {
        fold_name(form): disease.concept_id
        for disease in diseases
        for form in _list_own_names(disease)
    }
    # A preferred name that another concept owns as a form still names its own disease here.
    concept_by_name.update({fold_name(disease.name): disease.concept_id for disease in diseases})
    ways = (concept_by_id, concept_by_xref, concept_by_name)  # the surest first
    claims: dict[str, tuple[int, tuple[int, int, str], Prevalence]] = {}
    for disorder, figure in table.by_disorder.items():
        keys = (disorder, disorder, fold_name(figure.name))
        owners = [index.get(key) for index, key in zip(ways, keys, strict=True)]
        surest = next((way for way, owner in enumerate(owners) if owner), None)
        if surest is not None and (owner := owners[surest]):
            claim = (surest, record_order(disorder), figure)
            claims[owner] = min(claims.get(owner, claim), claim, key=lambda claim: claim[:2])
    return {concept_id: claim[2] for concept_id, claim in sorted(claims.items())}


def _list_own_names(disease: Concept) -> list[str]:
    """The names of a disease; of a MeSH heading those that have its words in another order."""
    if not disease.concept_id.startswith(_MESH):
        return list(disease.forms)
    words = _sort_words(disease.name)
    return [form for form in disease.forms if _sort_words(form) == words]


def _sort_words(name: str) -> list[str]:
    return sorted(re.findall(r"\w+", fold_name(name)))
