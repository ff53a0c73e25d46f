"""Facts in tool responses: complete sentences of records, with any text in their names."""

import pytest

from medr_ray.agent.protocol import render_responses
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.trajectories.solver.notes import Fact, Notes, parse_facts
from medr_ray.trajectories.solver.plans import Condition

HARD = "Ataxia is mild, type 1.5 (p<0.05): X-linked. Then"


def render_hit(*sentences: str, title: str = "Krabbe disease") -> str:
    return render_responses([f"[1] {title} (HPO:OMIM:1): {' '.join(sentences)}"])


@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_sentences_of_every_predicate_are_parsed_with_any_name(name: str) -> None:
    predicate = PREDICATES[name]
    clinical = "3 of 7 patients" if "{clinical}" in predicate.sentence else ""
    for subject in ("Krabbe disease", HARD):
        stated = predicate.render_sentence(subject, "Blue (sclerae), type 2.1", clinical)
        assert list(parse_facts(render_hit(stated, title=subject))) == [
            Fact(name, subject, "Blue (sclerae), type 2.1", clinical)
        ]


def test_a_sentence_that_is_cut_off_is_ignored() -> None:
    whole = "The gene associated with Krabbe disease is GALC."
    cut = "The finding in some patients with Krabbe disease is Optic…"
    assert [fact.object for fact in parse_facts(render_hit(whole, cut))] == ["GALC"]
    assert list(parse_facts("error: The gene associated with Krabbe disease")) == []


def test_a_share_that_may_be_meant_supports_a_condition_and_the_exact_share_comes_first() -> None:
    notes = Notes()
    notes.read(render_hit("The finding in 5-29% of patients with A is Ataxia.", title="A"))
    notes.read(render_hit("The finding in 1 of 9 patients with B is Ataxia.", title="B"))
    notes.read(render_hit("The finding in 2 of 9 patients with C is Ataxia.", title="C"))
    notes.read(render_hit("The finding in 9 of 9 patients with D is Ataxia.", title="D"))
    few = Condition(PREDICATES["has_finding"], True, "fewer than a quarter of patients", "Ataxia")
    assert notes.find_entities(few) == ["A", "B", "C"]
    exact = Condition(PREDICATES["has_finding"], True, "2 of 9 patients", "Ataxia")
    assert notes.find_entities(exact) == ["C"]
    assert notes.supports(few, "A")
    assert not notes.supports(few, "D")


def test_a_symmetric_fact_is_found_from_both_ends() -> None:
    notes = Notes()
    notes.read(render_hit("The drug given together with Losartan is Atenolol.", title="x"))
    for drug, other in (("Losartan", "Atenolol"), ("Atenolol", "Losartan")):
        assert notes.find_entities(Condition(PREDICATES["combined_with"], False, "", drug)) == [
            other
        ]


def test_a_fact_counts_as_new_only_once() -> None:
    notes = Notes()
    text = render_hit("The gene associated with Krabbe disease is GALC.")
    assert [notes.read(text), notes.read(text)] == [1, 0]
