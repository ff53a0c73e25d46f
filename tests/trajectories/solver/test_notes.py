"""Facts in tool responses: lines of records, with any text in their names."""

import pytest
from support.disease_lines import make_line

from medr_ray.agent.protocol import render_responses
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.disease_records import CATEGORIES
from medr_ray.trajectories.solver.notes import Fact, Notes, parse_facts
from medr_ray.trajectories.solver.plans import Condition

HARD = "Ataxia is mild, type 1.5 (p<0.05): X-linked. Then"


def render_hit(*lines: str, title: str = "Krabbe disease", document: str = "HPO:OMIM:1") -> str:
    return render_responses([f"[1] {title} ({document}): {' '.join(lines)}"])


@pytest.mark.parametrize("name", sorted(CATEGORIES))
def test_lines_of_every_category_are_read_with_any_name(name: str) -> None:
    clinical = "3 of 7 patients" if name == "has_finding" else ""
    for subject in ("Krabbe disease", HARD):
        stated = make_line(name, "Blue (sclerae), type 2.1", clinical)
        assert list(parse_facts(render_hit(stated, title=subject))) == [
            Fact(name, subject, "Blue (sclerae), type 2.1", clinical)
        ]


def test_several_lines_of_a_snippet_are_told_apart() -> None:
    lines = (
        "Onset: Adult onset; HPO: HP:0003581",
        "Phenotypic abnormality: Ataxia; Frequency: Frequent (30-79%); Onset: Juvenile onset",
        "Gene: GALC; NCBI Gene ID: 2581",
        "Phenotypic abnormality: Optic atrophy; HPO: HP:0000648",
    )
    facts = [(fact.object, fact.clinical) for fact in parse_facts(render_hit(*lines))]
    assert facts == [
        ("Adult onset", ""),
        ("Ataxia", "30-79% of patients"),
        ("GALC", ""),
        ("Optic atrophy", "some patients"),
    ]


@pytest.mark.parametrize(
    ("cut", "clinical"),
    [
        ("Phenotypic abnormality: Optic…", None),
        ("Phenotypic abnormality: Optic atrophy; Frequency: 3…", None),
        ("Phenotypic abnormality: Optic atrophy; Frequency: 3/7; HPO: HP…", "3 of 7 patients"),
    ],
)
def test_a_line_that_is_cut_off_counts_as_far_as_it_is_whole(
    cut: str, clinical: str | None
) -> None:
    facts = [(fact.object, fact.clinical) for fact in parse_facts(render_hit("Gene: GALC", cut))]
    finding = [] if clinical is None else [("Optic atrophy", clinical)]
    assert facts == [("GALC", ""), *finding]


def test_only_disease_records_are_read_by_their_lines() -> None:
    assert list(parse_facts("error: Gene: GALC")) == []
    assert list(parse_facts(render_hit("Gene: GALC", document="PMID:1"))) == []


def test_a_share_that_may_be_meant_supports_a_condition_and_the_exact_share_comes_first() -> None:
    notes = Notes()
    notes.read(render_hit(make_line("has_finding", "Ataxia", "5-29% of patients"), title="A"))
    notes.read(render_hit(make_line("has_finding", "Ataxia", "1 of 9 patients"), title="B"))
    notes.read(render_hit(make_line("has_finding", "Ataxia", "2 of 9 patients"), title="C"))
    notes.read(render_hit(make_line("has_finding", "Ataxia", "9 of 9 patients"), title="D"))
    few = Condition(PREDICATES["has_finding"], True, "fewer than a quarter of patients", "Ataxia")
    assert notes.find_entities(few) == ["A", "B", "C"]
    exact = Condition(PREDICATES["has_finding"], True, "2 of 9 patients", "Ataxia")
    assert notes.find_entities(exact) == ["C"]
    assert notes.supports(few, "A")
    assert not notes.supports(few, "D")


def test_a_symmetric_fact_is_found_from_both_ends() -> None:
    notes = Notes(lambda *_: [Fact("combined_with", "Losartan", "Atenolol", "")])
    notes.read(render_hit("Losartan plus atenolol.", document="PMID:1"))
    for drug, other in (("Losartan", "Atenolol"), ("Atenolol", "Losartan")):
        assert notes.find_entities(Condition(PREDICATES["combined_with"], False, "", drug)) == [
            other
        ]


def test_a_fact_counts_as_new_only_once() -> None:
    notes = Notes()
    text = render_hit(make_line("associated_gene", "GALC"))
    assert [notes.read(text), notes.read(text)] == [1, 0]
