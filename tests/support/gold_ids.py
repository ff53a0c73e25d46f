"""From our concepts to the identifiers that annotated corpora use: MeSH's for diseases and chemicals, NCBI's for genes.

What holds: a concept's own id and its references come first. A disease that MeSH has no record of stands for the
nearest broader ones it has, by MONDO's hierarchy; annotators who have only MeSH do the same. A concept that still has
no such id keeps its own: found, it counts as wrong.
"""

import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from medr_ray.knowledge.lexicon import Concept, normalise

_GOLD = re.compile(r"(?:MESH:(?=[CD]\d{6})|NCBIGENE:)(\w+)")

Parents = Mapping[str, Sequence[str]]


def mondo_parents(path: Path) -> Parents:
    """``is_a`` of a (gzipped) JSON list of MONDO's terms: the direct parents of each, ``MONDO:…``."""
    terms = json.loads(gzip.decompress(path.read_bytes()))
    return {f"MONDO:{term['id']}": [f"MONDO:{one}" for one in term.get("relations", {}).get("is_a", ())]
            for term in terms}


class GoldIds:
    """The annotators' ids of every concept of a full lexicon, and of those in a smaller one of the same vocabularies,
    whose ids or names it knows."""

    def __init__(self, full: Iterable[Concept], parents: Parents) -> None:
        concepts = list(full)
        direct = {one.concept_id: _direct(one) for one in concepts}
        by_mondo = {ref: ids for one in concepts if (ids := direct[one.concept_id])
                    for ref in (one.concept_id, *one.xrefs) if ref.startswith("MONDO:")}
        self._by_id = {
            one.concept_id: direct[one.concept_id] or _broader(one, by_mondo, parents) or frozenset({one.concept_id})
            for one in concepts}
        self._by_name = {normalise(one.name): self._by_id[one.concept_id] for one in concepts}
        self.known = frozenset().union(*direct.values())

    def of(self, concept: Concept) -> frozenset[str]:
        found = self._by_id.get(concept.concept_id) or self._by_name.get(normalise(concept.name))
        return found or frozenset({concept.concept_id})


def _direct(concept: Concept) -> frozenset[str]:
    matches = map(_GOLD.fullmatch, (concept.concept_id, *concept.xrefs))
    return frozenset(match[1] for match in matches if match)


def _broader(concept: Concept, known: Mapping[str, frozenset[str]], parents: Parents) -> frozenset[str]:
    """The ids of the nearest broader diseases that have any; all of them where several are equally near."""
    layer = [ref for ref in (concept.concept_id, *concept.xrefs) if ref in parents]
    seen = set(layer)
    while layer:
        layer = [one for each in layer for one in parents.get(each, ()) if one not in seen]
        seen.update(layer)
        ids = frozenset().union(*(known.get(one, frozenset()) for one in layer))
        if ids:
            return ids
    return frozenset()
