"""The strength of ties between entities, and that the weights are those that the training sets
give."""

from pathlib import Path

import numpy as np
import pytest
from support.fit_strength import (
    best_least,
    cross_validated,
    fit,
    induced_examples,
    related_examples,
)
from support.marked_text import read_marked_abstract

from medr_ray.graph.extraction.abstracts import WEAK_CONFIDENCE, infer_weak_statements
from medr_ray.graph.extraction.strength import (
    INDUCED_WEIGHTS,
    MIN_RELATED_IF_MATCHED,
    RELATED_WEIGHTS,
    Tie,
)
from medr_ray.knowledge.predicates import PREDICATES


def find_tie(text: str, *names: str) -> Tie:
    return next(
        tie
        for tie in read_marked_abstract(text).compute_ties()
        if {tie.first, tie.second} == set(names)
    )


def compute_related(text: str, *names: str) -> float:
    return find_tie(text, *names).related


def test_nearer_and_more_often_is_stronger() -> None:
    apart = "{Aspirin:drug} was bought. It was cold. {Anemia:disease} was seen."
    once = "It was cold. {Aspirin:drug} was seen with {anemia:disease}."
    twice = once + " Later {aspirin:drug} was seen with {anemia:disease}."
    titled = "{Aspirin:drug} and {anemia:disease}. It was cold. " + twice
    strengths = [
        compute_related(text, "aspirin", "anemia") for text in (apart, once, twice, titled)
    ]
    assert strengths == sorted(strengths)
    assert strengths[0] < 0.2 < 0.5 < strengths[-1]


def test_a_cue_is_a_strong_tie() -> None:
    assert (
        compute_related("Here {anemia:disease} was caused by {aspirin:drug}.", "aspirin", "anemia")
        > compute_related("Here {anemia:disease} was named by {aspirin:drug}.", "aspirin", "anemia")
        + 0.2
    )


def test_a_denied_pair_is_not_tied_by_the_sentence() -> None:
    assert (
        find_tie(
            "{Anthrax:disease} does not cause a {runny nose:phenotype}.", "anthrax", "runny nose"
        ).sentences
        == ()
    )
    assert find_tie(
        "{Anthrax:disease} causes a {cough:phenotype}.", "anthrax", "cough"
    ).sentences == (0,)


def test_items_of_an_enumeration_and_classes_are_not_tied() -> None:
    text = (
        "{Apraxia:disease} is a {brain disorder:disease} with {tremor:phenotype}, "
        "{stroke:disease} and "
        "{ataxia:phenotype}."
    )
    assert find_tie(text, "apraxia", "tremor").sentences == (0,)
    assert find_tie(text, "stroke", "ataxia").sentences == ()
    assert find_tie(text, "brain disorder", "tremor").sentences == ()


def test_induction_is_weighed_apart_from_treatment() -> None:
    induced = find_tie("{Aspirin:drug}-induced {anemia:disease}.", "aspirin", "anemia")
    treated = find_tie("{Iron:drug} in the treatment of {anemia:disease}.", "iron", "anemia")
    assert (induced.induced or 0) > 2 * (treated.induced or 1)
    assert find_tie("{Aspirin:drug} binds to {TP53:gene}.", "aspirin", "tp53").induced is None


WEAKLY_TIED = (
    "{RET:gene} and {goitre:disease}. The {RET:gene} locus, {goitre:disease} and the thyroid. "
    "We describe {goitre:disease} with {RET:gene}."
)


def test_a_strong_tie_without_a_cue_is_a_weak_relation() -> None:
    abstract = read_marked_abstract(WEAKLY_TIED)
    assert abstract.statements == ()
    (weak,) = infer_weak_statements(abstract)
    assert (weak.subject, weak.predicate, weak.object) == ("goitre", "associated_gene", "ret")
    assert (weak.start, weak.end) == (0, len("RET and goitre."))
    assert MIN_RELATED_IF_MATCHED * WEAK_CONFIDENCE <= weak.confidence < 0.5


def test_a_pair_with_a_cue_gets_no_weak_relation_beside_it() -> None:
    text = "{RET:gene} mutations cause {goitre:disease}. {RET:gene} was found in {goitre:disease}."
    assert list(infer_weak_statements(read_marked_abstract(text))) == []


def test_weak_relations_have_the_types_of_their_predicate() -> None:
    sentence = (
        "{RET:gene}, {goitre:disease}, {iodine:drug}, {fever:phenotype}, {MTC:disease} "
        "{TSH:gene} {zinc:drug}."
    )
    abstract = read_marked_abstract(" ".join([sentence] * 4))
    statements = list(infer_weak_statements(abstract))
    assert len({statement.predicate for statement in statements}) > 2
    for statement in statements:
        predicate = PREDICATES[statement.predicate]
        types = abstract.types[statement.subject], abstract.types[statement.object]
        assert types == (predicate.subject_type, predicate.object_type)


@pytest.mark.slow
def test_the_weights_are_those_of_the_training_sets(shared_data: Path) -> None:
    """A change of the cues calls for new weights where they move by more: run
    ``support.fit_strength``."""
    examples = related_examples(shared_data)
    for kinds, weights in RELATED_WEIGHTS.items():
        part = examples.of(kinds)
        assert fit(part.rows, part.related) == pytest.approx(
            np.array(list(vars(weights).values())), abs=0.3
        ), kinds
    induced = induced_examples(shared_data)
    assert fit(induced.rows, induced.related) == pytest.approx(
        np.array(list(vars(INDUCED_WEIGHTS).values())), abs=0.3
    )
    assert best_least(cross_validated(induced), induced.related)[1] > 0.55
