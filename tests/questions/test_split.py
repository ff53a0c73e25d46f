"""What may be trained on beside given held-out questions, and how choices are balanced."""

from support.small_graph import MARFAN, MASS, STICKLER, fact_index_of, small_graph

from medr_ray.core.config import QuestionsConfig
from medr_ray.core.records import Verification
from medr_ray.graph.facts.hops import make_walk, mark_other_hops
from medr_ray.questions.checks.question_verification import VerificationResult
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.split import (
    Candidate,
    collect_heldout_content,
    pick_balanced,
    split_and_balance,
    split_seeds,
)
from medr_ray.questions.wording.writers import Draft

_GRAPH = small_graph()
_OPEN = QuestionsConfig(max_predicate_share=1, max_answer_share=1, heldout_fraction=0.5)


def candidate(seed: str, start: str, *relations: str) -> Candidate:
    hops = make_walk(start, [_GRAPH.relations[relation_id] for relation_id in relations])
    assert hops is not None
    path = QuestionPath(seed, "chain", mark_other_hops(hops, fact_index_of(_GRAPH)), True)
    return Candidate(
        Draft(path),
        f"{start} {relations}?",
        VerificationResult(Verification(True, True, True, True), ()),
    )


def test_seeds_are_split_by_share_and_always_the_same_way() -> None:
    seeds = [f"s{n}" for n in range(200)]
    train, held = split_seeds(seeds, 0.3, run_seed=1)
    assert (len(train), len(held)) == (140, 60)
    assert (train, held) == split_seeds(reversed(seeds), 0.3, run_seed=1)
    assert held != split_seeds(seeds, 0.3, run_seed=2)[1]


def test_only_a_common_answer_may_be_shared_with_held_out_questions() -> None:
    held = collect_heldout_content(
        [candidate(MARFAN, "GENE:FBN1", "fbn1", "inherit")], {MARFAN}, _GRAPH.entities
    )
    common_answer = candidate(STICKLER, STICKLER, "inherit-stickler").path
    assert not held.overlaps_path(common_answer, _GRAPH.entities)
    for shared in (
        candidate(MASS, MASS, "fbn1-mass"),  # its answer leads to the held-out one
        candidate(MASS, "GENE:FBN1", "fbn1-mass"),  # its gene does
        candidate(MASS, MARFAN, "lens"),  # it starts at the held-out seed
    ):
        assert held.overlaps_path(shared.path, _GRAPH.entities)


def test_train_candidates_that_share_a_gene_with_held_out_ones_are_dropped_and_counted() -> None:
    both = [candidate(MARFAN, MARFAN, "fbn1"), candidate(MASS, MASS, "fbn1-mass", "fbn1", "lens")]
    split = split_and_balance(both, _GRAPH.entities, _OPEN, 0)
    assert (len(split.train), len(split.heldout), split.overlapping_count) == (0, 1, 1)


def test_hop_counts_are_evened_out() -> None:
    offers = [
        candidate(MARFAN, MARFAN, "fbn1"),
        candidate(MARFAN, MARFAN, "fbn1", "fbn1-mass"),
        candidate(STICKLER, STICKLER, "col2a1"),
        candidate(STICKLER, "GENE:COL2A1", "col2a1", "detach"),
    ]
    config = _OPEN.model_copy(update={"per_seed": 1})
    assert sorted(
        len(candidate.path.hops) for candidate in pick_balanced(offers, config, 0, None)
    ) == [
        1,
        2,
    ]


def test_a_seed_asks_for_one_fact_once_and_no_walk_is_asked_twice() -> None:
    offers = [
        candidate(MARFAN, MARFAN, "inherit"),
        candidate(MARFAN, "GENE:FBN1", "fbn1", "inherit"),
        candidate(STICKLER, MARFAN, "inherit"),
    ]
    assert len(pick_balanced(offers, _OPEN, 0, None)) <= 2
    assert len(pick_balanced(offers[:2], _OPEN, 0, None)) == 1


def test_one_kind_of_question_alone_is_still_allowed() -> None:
    config = QuestionsConfig()
    assert len(pick_balanced([candidate(MARFAN, MARFAN, "inherit")], config, 0, None)) == 1
    assert pick_balanced([], config, 0, None) == []


def test_the_same_chain_from_its_other_end_is_asked_once() -> None:
    forward, backward = candidate(MARFAN, MARFAN, "lens"), candidate(MARFAN, "HP:0001083", "lens")
    assert pick_balanced([backward], _OPEN, 0, None) == [backward]
    assert pick_balanced([backward], _OPEN, 0, None, earlier=[forward]) == []
    other = candidate(STICKLER, STICKLER, "detach")
    assert pick_balanced([other], _OPEN, 0, None, earlier=[forward]) == [other]
