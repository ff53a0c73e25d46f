"""The Mondo Disease Ontology (``MONDO:…``): ``mondo.json`` of its releases, or a plain list of its
terms.

The release is an OBO graph (https://github.com/geneontology/obographs). Its nodes have ``id``,
``lbl``, ``meta.synonyms[pred, val]``, ``meta.xrefs[val]`` and ``meta.basicPropertyValues[pred,
val]``; its edges are ``[sub, pred, obj]``. The plain list has one object per term with ``id``,
``name``, ``synonyms`` (strings), ``xrefs`` ``[namespace, id]`` and ``relations.is_a``.

Only current human diseases become entries, without the root. Where the file gives the scope of a
synonym, only exact synonyms count. Where a term declares exact matches, only those count as
references, otherwise all its cross references do.
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
    peek_first_byte,
    read_json_array,
)

_PREFIX = "MONDO:"
_PURL = re.compile(r"(?:https?://purl\.obolibrary\.org/obo/MONDO_|MONDO:)(\d{7})")
_LOCAL_ID = re.compile(r"\d{7}")
_ROOTS = frozenset({"MONDO:0000001", "MONDO:0700096"})  # disease, human disease
# Disease of non-human animals, disease characteristic: with all that is below them.
_NOT_HUMAN_DISEASES = frozenset({"MONDO:0005583", "MONDO:0021125"})
_EXACT_SYNONYM = "hasExactSynonym"
_EXACT_MATCH = "http://www.w3.org/2004/02/skos/core#exactMatch"
# Releases have written the addresses of exact matches in several ways.
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
    """By Mondo id, the ids that a term has in other vocabularies, and its direct parents."""

    xrefs: Mapping[str, tuple[str, ...]]
    parents: Mapping[str, Sequence[str]]


def read_mondo(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """The human diseases of a Mondo file in either format. Raises DataError for another format."""
    parents: dict[str, list[str]] = {}
    terms = _read_terms(stream, report, parents)
    index = _AncestorIndex(parents)
    for term in terms:
        ancestors = index.find_ancestors(term.concept_id)
        is_human = not (ancestors | {term.concept_id}) & _NOT_HUMAN_DISEASES
        if term.concept_id in _ROOTS or not is_human:
            report.omit_record("no human disease")
        else:
            yield VocabularyEntry(
                term.concept_id,
                term.name,
                DISEASE,
                term.synonyms,
                xrefs=term.xrefs,
                specialty_codes=index.list_branch_codes(ancestors),
            )


def read_hierarchy(path: str) -> Hierarchy:
    """The hierarchy of a Mondo file in either format, plain or gzip, at a path or a URI.

    Raises DataError when the file is missing, damaged or of another format.
    """
    report = VocabularyReport(path)
    parents: dict[str, list[str]] = {}
    with open_vocabulary(path) as stream:
        terms = _read_terms(stream, report, parents)
    if not terms:
        raise report.build_format_error(_EXPECTED, "no term")
    return Hierarchy({term.concept_id: term.xrefs for term in terms}, parents)


def _read_terms(
    stream: BinaryIO, report: VocabularyReport, parents: dict[str, list[str]]
) -> list[_Term]:
    """All terms of a file in either format; their direct parents are added to ``parents``."""
    read = _read_list if peek_first_byte(stream) == b"[" else _read_graph
    try:
        return read(stream, report, parents)
    except ValueError as error:
        raise report.build_format_error(_EXPECTED, f"other JSON: {error}") from None


def _read_list(
    stream: BinaryIO, report: VocabularyReport, parents: dict[str, list[str]]
) -> list[_Term]:
    terms = []
    for number, node in enumerate(read_json_array(stream), 1):
        where = f"element {number}"
        try:
            local_id = node["id"]
            name = node["name"].strip()
            xrefs = _drop_duplicates(
                make_xref(xref["namespace"], xref["id"]) for xref in node.get("xrefs", ())
            )
            synonyms = _drop_duplicates(map(str.strip, node.get("synonyms", ())))
            term = _Term(f"{_PREFIX}{local_id}", name, synonyms, xrefs)
            parent_ids = node.get("relations", {}).get("is_a", ())
            term_parents = [f"{_PREFIX}{parent}" for parent in parent_ids]
        except (AttributeError, KeyError, TypeError) as error:
            report.skip_record(where, f"no term with id and name: {error!r}")
            continue
        if not _LOCAL_ID.fullmatch(local_id) or not name:
            report.skip_record(where, f"no id of seven digits with a name: {local_id!r}, {name!r}")
            continue
        terms.append(term)
        parents[term.concept_id] = term_parents
    return terms


def _read_graph(
    stream: BinaryIO, report: VocabularyReport, parents: dict[str, list[str]]
) -> list[_Term]:
    terms = []
    declared: set[str] = set()
    for number, node in enumerate(read_json_array(stream, "nodes"), 1):
        try:
            declared.add(_parse_purl(node["id"]))
            term = _parse_node(node, report)
        except (AttributeError, KeyError, TypeError) as error:
            report.skip_record(f"node {number}", f"no node with id, lbl and meta: {error!r}")
            continue
        if term:
            terms.append(term)
    # A second pass from the beginning: the arrays may stand in any order.
    for number, edge in enumerate(read_json_array(stream, "edges"), 1):
        try:
            child = _parse_purl(edge["sub"])
            parent = _parse_purl(edge["obj"])
            is_broader = edge["pred"] == "is_a"
        except (AttributeError, KeyError, TypeError) as error:
            report.skip_record(f"edge {number}", f"no edge with sub, pred and obj: {error!r}")
            continue
        if not is_broader or not child or not parent:
            continue  # of another kind, or to another ontology
        if child in declared and parent in declared:
            parents.setdefault(child, []).append(parent)
        else:
            absent = child if child not in declared else parent
            report.skip_record(f"edge {number}", f"{absent} is not among the nodes")
    return terms


def _parse_node(node: Mapping[str, Any], report: VocabularyReport) -> _Term | None:
    """The term of a node; None for one that is obsolete or of another ontology."""
    concept_id = _parse_purl(node["id"])
    meta = node.get("meta", {})
    if not concept_id or meta.get("deprecated"):
        report.omit_record("obsolete" if concept_id else "of another ontology")
        return None
    synonyms = _drop_duplicates(
        synonym["val"].strip()
        for synonym in _list_members(meta, "synonyms")
        if synonym["pred"] == _EXACT_SYNONYM
    )
    return _Term(concept_id, node["lbl"].strip(), synonyms, _select_references(meta))


def _parse_purl(purl: str) -> str:
    """``MONDO:<number>`` for the address of a Mondo term; "" for any other address."""
    match = _PURL.fullmatch(purl)
    return f"{_PREFIX}{match[1]}" if match else ""


def _select_references(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """The exact matches of a node, if it declares any; else all its cross references."""
    addresses = [
        value["val"]
        for value in _list_members(meta, "basicPropertyValues")
        if value["pred"] == _EXACT_MATCH
    ]
    exact_matches = _drop_duplicates(
        f"{authority}:{match[1]}"
        for address in addresses
        for authority, pattern in _EXACT_MATCH_PATTERNS
        if (match := pattern.search(address))
    )
    if exact_matches:
        return exact_matches
    split_xrefs = (xref["val"].partition(":") for xref in _list_members(meta, "xrefs"))
    return _drop_duplicates(
        make_xref(namespace, local_id) for namespace, _, local_id in split_xrefs
    )


def _list_members(meta: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The members of a list that have a value: a null one costs no term its name."""
    return [
        {"pred": "", **member}
        for member in meta.get(key) or ()
        if isinstance(member, dict) and isinstance(member.get("val"), str)
    ]


def _drop_duplicates(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts that are not empty, each once, in order."""
    return tuple(dict.fromkeys(filter(None, texts)))


class _AncestorIndex:
    """The ancestors of terms, each looked up once."""

    def __init__(self, parents: Mapping[str, list[str]]) -> None:
        self._parents = parents
        self.find_ancestors = functools.cache(self._collect_ancestors)
        self._find_branches = functools.cache(self._collect_branches)

    def _collect_ancestors(self, concept_id: str) -> frozenset[str]:
        """Everything above a term, without the term."""
        reached: set[str] = set()
        pending = list(self._parents.get(concept_id, ()))
        while pending:
            term = pending.pop()
            if term not in reached:
                reached.add(term)
                pending.extend(self._parents.get(term, ()))
        return frozenset(reached)

    def _collect_branches(self, concept_id: str) -> tuple[str, ...]:
        """The branches of ``MONDO_BRANCHES`` that a term is in, or is."""
        lineage = self.find_ancestors(concept_id) | {concept_id}
        return tuple(sorted(lineage & MONDO_BRANCHES.keys()))

    def list_branch_codes(self, ancestors: Iterable[str]) -> tuple[str, ...]:
        """The branches that decide a specialty, once for each ancestor in them.

        So a branch has more votes the deeper below it a disease is.
        """
        return tuple(sorted(branch for term in ancestors for branch in self._find_branches(term)))
