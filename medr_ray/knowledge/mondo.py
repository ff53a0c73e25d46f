"""The Mondo Disease Ontology (``MONDO:…``): ``mondo.json`` of its releases, or a plain list of its
terms.

The release is an OBO graph (https://github.com/geneontology/obographs): nodes with ``id``, ``lbl``,
``meta.synonyms[pred, val]``, ``meta.xrefs[val]``, and edges ``[sub, pred, obj]``. The plain list
has one object per term: ``id``, ``name``, ``synonyms`` (strings), ``xrefs`` ``[namespace, id]``,
``relations.is_a``.

What holds: only human diseases, none that is obsolete, not the root; only exact synonyms where the
scope is known; where a term says which references are exact matches, only those count.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from medr_ray.knowledge.predicates import DISEASE
from medr_ray.knowledge.specialty import MONDO_BRANCHES
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyEntry,
    VocabularyReport,
    make_xref,
    open_vocabulary,
    read_json_array,
)

_PREFIX = "MONDO:"
_PURL = re.compile(r"http://purl\.obolibrary\.org/obo/MONDO_(\d{7})")
_LOCAL_ID = re.compile(r"\d{7}")
_ROOTS = frozenset({"MONDO:0000001", "MONDO:0700096"})  # disease, human disease
# Disease of animals, disease characteristic.
_NO_HUMAN_DISEASE = frozenset({"MONDO:0005583", "MONDO:0021125"})
_EXACT_SYNONYM = "hasExactSynonym"
_EXACT_MATCH = "http://www.w3.org/2004/02/skos/core#exactMatch"
_EXACT_MATCH_PATTERNS = (
    ("OMIM", re.compile(r"(?:identifiers\.org/omim[/:]|omim\.org/entry/)(\d+)$")),
    ("ORPHA", re.compile(r"(?:identifiers\.org/orphanet[/:]|orpha\.net/ORDO/Orphanet_)(\d+)$")),
    ("MESH", re.compile(r"(?:identifiers\.org/mesh[/:]|id\.nlm\.nih\.gov/mesh/)([CD]\d+)$")),
)
_EXPECTED = "mondo.json (an OBO graph) or a JSON list of terms with id, name, synonyms and xrefs"


@dataclass(frozen=True, slots=True)
class _Term:
    concept_id: str
    name: str
    synonyms: tuple[str, ...]
    xrefs: tuple[str, ...]


@dataclass(frozen=True)
class Hierarchy:
    """The ids that each Mondo term has elsewhere, and the terms right above each, by Mondo id."""

    xrefs: Mapping[str, tuple[str, ...]]
    parents: Mapping[str, Sequence[str]]


def read_mondo(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """The human diseases of a Mondo file. DataError when it is neither form."""
    parents: dict[str, list[str]] = {}
    terms = _read_terms(stream, report, parents)
    ancestors = _AncestorIndex(parents)
    for term in terms:
        above = ancestors.find_ancestors(term.concept_id)
        if term.concept_id in _ROOTS or (above | {term.concept_id}) & _NO_HUMAN_DISEASE:
            report.omit_record("no human disease")
        else:
            yield VocabularyEntry(
                term.concept_id,
                term.name,
                DISEASE,
                term.synonyms,
                xrefs=term.xrefs,
                codes=ancestors.list_branch_codes(above),
            )


def read_hierarchy(path: str) -> Hierarchy:
    """What stands above what in a Mondo file, in either form, plain or gzip, at a path or a URI.
    DataError when it is missing, damaged or neither form."""
    report = VocabularyReport(path)
    parents: dict[str, list[str]] = {}
    with open_vocabulary(path) as stream:
        terms = _read_terms(stream, report, parents)
    if not terms:
        raise report.format_error(_EXPECTED, "no term")
    return Hierarchy({term.concept_id: term.xrefs for term in terms}, parents)


def _read_terms(
    stream: BinaryIO, report: VocabularyReport, parents: dict[str, list[str]]
) -> list[_Term]:
    """All terms of either form; what is right above each is added to ``parents``."""
    beginning = stream.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    try:
        return (_read_list if beginning == b"[" else _read_graph)(stream, report, parents)
    except ValueError as error:
        raise report.format_error(_EXPECTED, f"other JSON: {error}") from None


def _read_list(
    stream: BinaryIO, report: VocabularyReport, parents: dict[str, list[str]]
) -> list[_Term]:
    terms = []
    for number, node in enumerate(read_json_array(stream), 1):
        try:
            local_id, name = node["id"], node["name"].strip()
            references = _drop_duplicates(
                make_xref(each["namespace"], each["id"]) for each in node.get("xrefs", ())
            )
            term = _Term(
                f"{_PREFIX}{local_id}",
                name,
                _drop_duplicates(map(str.strip, node.get("synonyms", ()))),
                references,
            )
            above = [f"{_PREFIX}{each}" for each in node.get("relations", {}).get("is_a", ())]
        except (AttributeError, KeyError, TypeError) as error:
            report.skip_record(f"element {number}", f"no term with id and name: {error!r}")
            continue
        if not _LOCAL_ID.fullmatch(local_id) or not name:
            report.skip_record(
                f"element {number}", f"no id of seven digits with a name: {local_id!r}, {name!r}"
            )
            continue
        terms.append(term)
        parents[term.concept_id] = above
    return terms


def _read_graph(
    stream: BinaryIO, report: VocabularyReport, parents: dict[str, list[str]]
) -> list[_Term]:
    terms = []
    for number, node in enumerate(read_json_array(stream, "nodes"), 1):
        try:
            term = _parse_node(node, report)
        except (AttributeError, KeyError, TypeError) as error:
            report.skip_record(f"node {number}", f"no node with id, lbl and meta: {error!r}")
            continue
        if term:
            terms.append(term)
    for edge in read_json_array(stream, "edges"):
        child, parent = _parse_purl(edge.get("sub", "")), _parse_purl(edge.get("obj", ""))
        if edge.get("pred") == "is_a" and child and parent:
            parents.setdefault(child, []).append(parent)
    return terms


def _parse_node(node: Mapping[str, Any], report: VocabularyReport) -> _Term | None:
    concept_id, meta = _parse_purl(node["id"]), node.get("meta", {})
    if not concept_id or meta.get("deprecated"):
        report.omit_record("obsolete" if concept_id else "of another ontology")
        return None
    synonyms = _drop_duplicates(
        synonym["val"].strip()
        for synonym in meta.get("synonyms", ())
        if synonym["pred"] == _EXACT_SYNONYM
    )
    return _Term(concept_id, node["lbl"].strip(), synonyms, _select_references(meta))


def _parse_purl(purl: str) -> str:
    match = _PURL.fullmatch(purl)
    return f"{_PREFIX}{match[1]}" if match else ""


def _select_references(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Exact matches, where the term declares any; else all its cross references."""
    matches = [
        value["val"]
        for value in meta.get("basicPropertyValues", ())
        if value["pred"] == _EXACT_MATCH
    ]
    exact = _drop_duplicates(
        f"{authority}:{match[1]}"
        for url in matches
        for authority, pattern in _EXACT_MATCH_PATTERNS
        if (match := pattern.search(url))
    )
    return exact or _drop_duplicates(
        make_xref(*reference["val"].partition(":")[::2]) for reference in meta.get("xrefs", ())
    )


def _drop_duplicates(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, texts)))


class _AncestorIndex:
    """What is broader than a term, each looked up once."""

    def __init__(self, parents: Mapping[str, list[str]]) -> None:
        self._parents = parents
        self.find_ancestors = functools.cache(self._collect_ancestors)
        self._find_branches = functools.cache(self._collect_branches)

    def _collect_ancestors(self, concept_id: str) -> frozenset[str]:
        """Everything broader than a term, without it."""
        reached: set[str] = set()
        waiting = list(self._parents.get(concept_id, ()))
        while waiting:
            term = waiting.pop()
            if term not in reached:
                reached.add(term)
                waiting.extend(self._parents.get(term, ()))
        return frozenset(reached)

    def _collect_branches(self, concept_id: str) -> tuple[str, ...]:
        return tuple(
            sorted((self.find_ancestors(concept_id) | {concept_id}) & MONDO_BRANCHES.keys())
        )

    def list_branch_codes(self, above: Iterable[str]) -> tuple[str, ...]:
        """The branches a specialty is decided by, once for each broader disease that falls under
        them."""
        return tuple(sorted(branch for term in above for branch in self._find_branches(term)))
