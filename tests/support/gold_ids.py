"""From our concepts to the identifiers that annotated corpora use: MeSH's for diseases and
chemicals, NCBI's for genes.

A concept's own id and its references come first; then the record of MeSH that lists the
name of a disease or chemical among its terms ("Breast cancer" of OMIM is an entry term of MeSH's
"Breast Neoplasms"). A disease that MeSH does not name stands for the nearest broader ones it has,
by the hierarchies of MONDO and HPO; annotators who have only MeSH do the same. A concept that still
has no such id keeps its own: found, it counts as wrong.
"""

import functools
import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.lexicon import Concept, normalise
from medr_ray.knowledge.predicates import DISEASE, DRUG, PHENOTYPE

_GOLD = re.compile(r"(?:MESH:(?=[CD]\d{6})|NCBIGENE:)(\w+)")

Parents = Mapping[str, Sequence[str]]


def mondo_parents(path: Path) -> Parents:
    """``is_a`` of a (gzipped) JSON list of MONDO's terms: the direct parents of each,
    ``MONDO:…``."""
    terms = json.loads(gzip.decompress(path.read_bytes()))
    return {
        f"MONDO:{term['id']}": [
            f"MONDO:{parent}" for parent in term.get("relations", {}).get("is_a", ())
        ]
        for term in terms
    }


def hpo_parents() -> Parents:
    """``is_a`` of the Human Phenotype Ontology: the direct parents of each term, ``HP:…``."""
    return {term.term_id: term.parents for term in load_hpo().terms.values()}


class GoldIds:
    """The annotators' ids of every concept of a full lexicon, and of those in a smaller one of the
    same vocabularies, whose ids or names it knows."""

    def __init__(
        self, full: Iterable[Concept], parents: Parents, mesh_terms: Mapping[str, str]
    ) -> None:
        concepts = list(full)
        direct = {
            concept.concept_id: _own_ids(concept) or _ids_by_name(concept, mesh_terms)
            for concept in concepts
        }
        nodes = {
            reference: direct[concept.concept_id]
            for concept in concepts
            if direct[concept.concept_id]
            for reference in (concept.concept_id, *concept.xrefs)
            if reference in parents
        }
        self._by_id = {
            concept.concept_id: direct[concept.concept_id]
            or _nearest_broader_ids(concept, nodes, parents)
            or frozenset({concept.concept_id})
            for concept in concepts
        }
        self._concepts = concepts
        self.known_ids = frozenset().union(*direct.values())

    def ids_of(self, concept: Concept) -> frozenset[str]:
        return self._by_id.get(concept.concept_id) or self._by_name.get(
            normalise(concept.name), frozenset({concept.concept_id})
        )

    @functools.cached_property
    def _by_name(self) -> dict[str, frozenset[str]]:
        return {
            normalise(concept.name): self._by_id[concept.concept_id] for concept in self._concepts
        }


def mesh_terms(paths: Iterable[Path]) -> dict[str, str]:
    """The terms of MeSH's diseases and chemicals, normalised, with the UI of the record that lists
    each, from gzipped rows of UI, name, synonyms and tree numbers or headings; a preferred name
    first. Whatever the lexicon makes of a record, annotators may use it."""
    names: dict[str, str] = {}
    terms: dict[str, str] = {}
    for path in paths:
        for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines():
            ui, name, synonyms, last = (*line.split("\t"), "", "", "")[:4]
            if ui.startswith("D") and not any(
                tree.startswith(("C", "D", "F03")) for tree in last.split("|")
            ):
                continue
            names.setdefault(normalise(name), ui)
            for term in filter(None, synonyms.split("|")):
                terms.setdefault(normalise(term), ui)
    return terms | names


def _ids_by_name(concept: Concept, mesh_terms: Mapping[str, str]) -> frozenset[str]:
    """The record that lists the name of a disease, a finding or a chemical."""
    ui = (
        mesh_terms.get(normalise(concept.name))
        if concept.entity_type in (DISEASE, PHENOTYPE, DRUG)
        else None
    )
    return frozenset({ui} if ui else ())


def _own_ids(concept: Concept) -> frozenset[str]:
    matches = map(_GOLD.fullmatch, (concept.concept_id, *concept.xrefs))
    return frozenset(match[1] for match in matches if match)


def _nearest_broader_ids(
    concept: Concept, nodes: Mapping[str, frozenset[str]], parents: Parents
) -> frozenset[str]:
    """The ids of the nearest broader diseases that have any; all of them where several are equally
    near."""
    layer = [node for node in (concept.concept_id, *concept.xrefs) if node in parents]
    seen = set(layer)
    while layer:
        layer = [parent for node in layer for parent in parents.get(node, ()) if parent not in seen]
        seen.update(layer)
        ids = frozenset().union(*(nodes.get(node, frozenset()) for node in layer))
        if ids:
            return ids
    return frozenset()
