"""The declarations of the predicates fit together."""

import pytest

from medr_ray.core.records import NodeType, literal_values
from medr_ray.knowledge.predicates import (
    INVERSE,
    PREDICATES,
    TEXT_PREDICATES,
    TURN_LIMITS,
    VALUE,
)
from medr_ray.knowledge.registries import FACT_PREDICATES


def test_ranks_are_given_once() -> None:
    places = list(range(len(PREDICATES)))
    assert [predicate.record_rank for predicate in PREDICATES.values()] == places
    assert sorted(predicate.expansion_rank for predicate in PREDICATES.values()) == places


def test_at_most_one_predicate_is_assumed_for_a_pair_of_types() -> None:
    assumed = [
        (predicate.subject_type, predicate.object_type)
        for predicate in PREDICATES.values()
        if predicate.assumed_when_tied
    ]
    assert len(set(assumed)) == len(assumed)


def test_turns_are_between_predicates_that_exist() -> None:
    for turn in TURN_LIMITS:
        for name in (*turn.into, *turn.out):
            assert name.removeprefix(INVERSE) in PREDICATES


def test_cardinality_is_that_of_the_facts_and_relations_from_text_are_many_valued() -> None:
    sponsor = PREDICATES["lead_sponsor"]
    assert sponsor.cardinality(forward=True) == "functional"
    assert sponsor.cardinality(forward=False) == "many"
    assert sponsor.ages
    assert PREDICATES["has_product"].cardinality(forward=False) == "functional"
    assert PREDICATES["associated_gene"].cardinality(forward=True) == "conditional"
    for name in set(PREDICATES) - set(FACT_PREDICATES):
        assert PREDICATES[name].cardinality(forward=True) == "many"
        assert PREDICATES[name].cardinality(forward=False) == "many"
        assert not PREDICATES[name].ages


@pytest.mark.parametrize("name", sorted(set(PREDICATES) - set(TEXT_PREDICATES)))
def test_a_registry_predicate_has_the_types_of_its_facts(name: str) -> None:
    predicate = PREDICATES[name]
    fact_predicate = FACT_PREDICATES[name]
    # A substance is a drug of the graph, a typed value one of its values.
    node_type = {"substance": "drug"}
    assert predicate.subject_type == node_type.get(
        fact_predicate.subject_type, fact_predicate.subject_type
    )
    object_type = node_type.get(fact_predicate.object_type, fact_predicate.object_type)
    assert predicate.object_type == (
        object_type if object_type in literal_values(NodeType) else VALUE
    )
    assert not predicate.cues
