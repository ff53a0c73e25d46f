"""The shapes of questions: what may follow what, and how many there are."""

import itertools

import pytest
from support.registry_facts import drug

from medr_ray.core.config import QuestionsConfig
from medr_ray.core.records import Paradigm, literal_values
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions import shapes
from medr_ray.questions.drafting.drafter import list_units
from medr_ray.questions.shapes import SHAPES, Shape, build_plan
from medr_ray.questions.steps import STEP_KINDS


def test_there_are_a_dozen_shapes_each_with_a_skill_of_its_own() -> None:
    assert len(SHAPES) >= 12
    assert len({shape.skill for shape in SHAPES.values()}) == len(SHAPES)
    assert {shape.paradigm for shape in SHAPES.values()} <= set(literal_values(Paradigm))


@pytest.mark.parametrize("name", SHAPES)
def test_each_step_of_a_chain_takes_what_the_one_before_finds(name: str) -> None:
    chains = SHAPES[name].chains
    assert len(set(chains)) == len(chains)
    for chain in chains:
        for before, after in itertools.pairwise(chain):
            assert STEP_KINDS[after].inputs[0] == STEP_KINDS[before].output
        last = STEP_KINDS[chain[-1]]
        assert last.english.question, "the last step can be asked"
        assert last.chinese.question


def test_no_chain_belongs_to_two_shapes_but_counts() -> None:
    """A question that counts may be an approval's field as well; nothing else is two shapes."""
    shapes_of: dict[tuple[str, ...], set[str]] = {}
    for shape in SHAPES.values():
        for chain in shape.chains:
            shapes_of.setdefault(chain, set()).add(shape.name)
    shared = {chain: names for chain, names in shapes_of.items() if len(names) > 1}
    assert all("count" in names for names in shared.values()), shared


def test_a_chain_that_cannot_be_is_refused_when_it_is_declared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = Shape("wrong", "nothing", "lookup", (("gene_of_disease", "sponsor_of_trial"),))
    monkeypatch.setattr(shapes, "_DECLARATIONS", (wrong,))
    with pytest.raises(ValueError, match="sponsor_of_trial cannot follow gene_of_disease"):
        shapes._check_chains()


def test_hops_and_registries_decide_which_chains_are_drafted() -> None:
    every = list_units(QuestionsConfig())
    assert {unit.shape for unit in every} == set(SHAPES)
    assert len({unit.part for unit in every}) == len(every)
    short = list_units(QuestionsConfig(max_hops=2))
    assert 0 < len(short) < len(every)
    assert all(sum(STEP_KINDS[kind].hops for kind in unit.chain) <= 2 for unit in short)
    curated = list_units(QuestionsConfig(sources=("hpo", "orphanet")))
    assert {unit.shape for unit in curated} == {
        "disease_record",
        "disease_to_gene",
        "gene_to_inheritance",
        "shared_gene",
    }
    chosen = list_units(QuestionsConfig(shapes=("years_between",)))
    assert {unit.shape for unit in chosen} == {"years_between"}


def test_the_hops_of_a_plan_are_those_of_its_chain(table: FactTable) -> None:
    for shape in SHAPES.values():
        for chain in shape.chains:
            inputs = tuple(drug("Omalizumab") for _ in STEP_KINDS[chain[0]].inputs)
            plan = build_plan(chain, inputs, table)
            assert plan.hops == sum(STEP_KINDS[kind].hops for kind in chain)
