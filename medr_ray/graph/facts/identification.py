"""Which hops single out their target in the world, and which can be asked in a source though they
do not.

A hop identifies its target where its predicate is functional in that direction, where the record it
starts from lists every value, or where the predicate is functional under a condition and curated
sources agree. For the gene of a disease, the disease of a gene and a mode of inheritance they agree
when at least two authorities (OMIM, Orphanet, DECIPHER) have this value and no authority has
another one, or calls it a risk only. All other facts are many-valued: that a table has one value
says nothing about medicine. Such a hop is asked with its source, and no question goes on from it.
"""

from medr_ray.core.records import Relation
from medr_ray.graph.facts.fact_index import FactIndex
from medr_ray.graph.facts.hops import Hop
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.knowledge.published_reports import is_report

# Authorities that have to agree on a fact that is functional under a condition.
_AGREEING_AUTHORITIES = 2
# Not asked of one source alone: OMIM files the families under the name of the common disease, and a
# gene has other diseases than the one that a table happens to have.
_NEEDS_AGREEMENT = frozenset({"has_inheritance", "inverse:associated_gene"})
# The sources that mean to be complete about a disease. Of any other source, that it has one value
# alone says nothing.
_COMPLETE_SOURCES = frozenset({"hpo", "orphanet"})


def is_identifying(hop: Hop, facts: FactIndex) -> bool:
    """Whether the hop's target is the only one in the world, as far as curated sources know."""
    predicate = PREDICATES[hop.predicate]
    cardinality = predicate.cardinality(hop.forward)
    if cardinality == "conditional":
        stated = facts.values_by_authority(hop.start, hop.predicate, hop.forward)
        agreeing = [values for values in stated.values() if values == {hop.target}]
        return len(agreeing) == len(stated) and len(agreeing) >= _AGREEING_AUTHORITIES
    return cardinality == "functional" or (hop.forward and predicate.is_listed_in_full)


def can_be_asked(hop: Hop, relation: Relation, facts: FactIndex) -> bool:
    """Whether the hop identifies its target, or can be asked by a report or in a source."""
    return (
        is_identifying(hop, facts)
        or is_report(hop.clinical)
        or _is_in_complete_source(hop, relation)
    )


def _is_in_complete_source(hop: Hop, relation: Relation) -> bool:
    """Whether a hop that does not identify its target can be asked in a source that is complete."""
    if hop.directed_predicate in _NEEDS_AGREEMENT:
        return False
    return any(evidence.source in _COMPLETE_SOURCES for evidence in relation.evidence)
