"""Which walks become candidates, and what else is asked along them."""

import pytest
from pydantic import ValidationError
from support.small_graph import MARFAN, MASS, STICKLER, fact_index_of, make_relation, small_graph

from medr_ray.core.config import Paradigm, QuestionsConfig
from medr_ray.core.records import Chain, Relation
from medr_ray.graph.facts.disambiguation import Disambiguator
from medr_ray.knowledge.predicates import PREDICATES, directed_name
from medr_ray.questions.drafting.drafter import QuestionGraph
from medr_ray.questions.drafting.plan_candidates import (
    CandidatePlanner,
    LevelDisambiguators,
    SeedInput,
    classify_paradigm,
)
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.drafting.walks import WalkGrower

_PLAIN: tuple[Paradigm, ...] = ("lookup", "multi_hop")
_FINDING = "HP:0001083"


def _all_paths(
    seed: str,
    lengths: range,
    graph: QuestionGraph | None = None,
    paradigms: tuple[Paradigm, ...] = _PLAIN,
    levels: tuple[int, ...] = (0,),
    with_chain: bool = True,
    avoid: tuple[str, ...] = (),
) -> list[tuple[QuestionPath, int]]:
    graph = graph or small_graph()
    facts = fact_index_of(graph)
    disambiguators = LevelDisambiguators(
        Disambiguator(graph.relations.values(), facts),
        Disambiguator(graph.relations.values(), facts, compare=True),
    )
    relations = [graph.relations[relation_id] for relation_id in graph.seed_graphs[seed]]
    source = SeedInput(seed, graph.chains[seed] if with_chain else None, relations, graph.relations)
    grower = WalkGrower(graph.relations.values(), facts, hub_degree=200)
    config = QuestionsConfig(
        min_hops=lengths[0],
        max_hops=lengths[-1],
        paradigms=paradigms,
        tries=0,
        avoid=avoid,
        obfuscation=dict.fromkeys(levels, 1.0),
    )
    return CandidatePlanner(facts, disambiguators, grower, config).plan_paths(source)


def _candidates(seed: str, lengths: range, with_chain: bool = True) -> list[QuestionPath]:
    return [path for path, _ in _all_paths(seed, lengths, with_chain=with_chain)]


def _paths_asking(paradigm: Paradigm, *extra: Relation) -> list[QuestionPath]:
    return [
        path for path, _ in _all_paths(MARFAN, range(1, 7), small_graph(extra=extra), (paradigm,))
    ]


def test_chain_pieces_contain_the_seed_and_go_both_ways() -> None:
    walks = {path.relations for path in _candidates(STICKLER, range(1, 4)) if path.on_chain}
    assert walks == {("col2a1",), ("inherit-stickler",), ("col2a1", "inherit-stickler")}
    starts = {
        path.start for path in _candidates(STICKLER, range(1, 4)) if path.relations == ("col2a1",)
    }
    assert starts == {STICKLER, "GENE:COL2A1"}


def test_long_pieces_of_the_chain_are_candidates_up_to_the_bound() -> None:
    assert max(len(path.hops) for path in _candidates(MARFAN, range(1, 7))) == 4
    assert max(len(path.hops) for path in _candidates(MARFAN, range(1, 3))) == 2
    assert {len(path.hops) for path in _candidates(MARFAN, range(2, 3))} == {2}


def test_branches_reach_what_the_chain_does_not() -> None:
    branches = {
        tuple(hop.relation_id for hop in path.hops)
        for path in _candidates(MARFAN, range(1, 3))
        if not path.on_chain
    }
    assert ("inherit",) in branches
    assert ("fbn1", "inherit") in branches, "gene to seed to value"


def test_what_is_to_be_avoided_is_not_walked() -> None:
    backwards = {
        path.relations
        for path, _ in _all_paths(MARFAN, range(1, 7))
        if "inverse:associated_gene" in path.directed_predicates
    }
    left = {
        path.relations
        for path, _ in _all_paths(MARFAN, range(1, 7), avoid=("inverse:associated_gene",))
    }
    assert backwards
    assert left
    assert not any(
        "inverse:associated_gene" in path.directed_predicates
        for path, _ in _all_paths(MARFAN, range(1, 7), avoid=("inverse:associated_gene",))
    )


def test_the_configuration_knows_every_predicate_that_can_be_avoided() -> None:
    every = tuple(
        directed_name(predicate, forward) for predicate in PREDICATES for forward in (True, False)
    )
    assert QuestionsConfig(avoid=every).avoid == every
    with pytest.raises(ValidationError, match="avoid"):
        QuestionsConfig(avoid=("inverse:has_findings",))


def test_vague_shares_and_directions_without_wording_are_not_asked() -> None:
    candidates = _candidates(MARFAN, range(1, 7))
    assert not any("myopia" in path.relations for path in candidates)
    assert all(
        hop.forward
        for path in candidates
        for hop in path.hops
        if hop.predicate in ("has_inheritance", "has_onset")
    )


def test_no_walk_comes_twice_and_every_walk_contains_the_seed() -> None:
    candidates = _candidates(MARFAN, range(1, 7))
    assert len({path.key for path in candidates}) == len(candidates)
    assert all(MARFAN in path.entities for path in candidates)
    assert all(len(set(path.entities)) == len(path.entities) for path in candidates)


def test_a_seed_without_a_chain_still_has_branches() -> None:
    candidates = _candidates(STICKLER, range(1, 3), with_chain=False)
    assert candidates
    assert all(path.chain_id == "" for path in candidates)


def test_a_hop_that_fits_several_entities_describes_the_one_it_means() -> None:
    """Two diseases have the gene; one has an onset."""
    (path,) = [
        path
        for path in _candidates(MARFAN, range(1, 7))
        if path.relations[:2] == ("fbn1-mass", "fbn1")
        and len(path.hops) == 2
        and path.start == MASS
    ]
    assert path.hops[1].other, "from one disease to the gene and on, the other is meant"
    from_gene = [path for path in _candidates(MARFAN, range(1, 2)) if path.start == "GENE:FBN1"]
    assert [clause.predicate for clause in from_gene[0].hops[0].also], (
        "Marfan syndrome is told apart from MASS syndrome"
    )
    assert "fbn1-mass" not in from_gene[0].relations


def test_shares_are_worded_as_comparisons_at_level_one_only() -> None:
    both = _all_paths(MARFAN, range(1, 2), levels=(0, 1))
    wordings = {
        (level, hop.clinical) for path, level in both for hop in path.hops if hop.target == _FINDING
    }
    assert wordings == {(0, "3 of 7 patients"), (1, "a quarter to a half of patients")}
    assert all(hop.clinical for path, level in both if level == 1 for hop in path.hops)


def test_an_intersection_walks_from_both_sides_to_one_entity() -> None:
    met = _paths_asking("intersection")
    assert met
    for path in met:
        assert path.hops[-1].target == path.second[-1].target
        assert classify_paradigm(path) == "intersection"
        assert path.complexity == len(path.hops) + len(path.second)
    assert any(path.answer == "GENE:FBN1" and path.starts == (MARFAN, MASS) for path in met)


def test_a_share_is_asked_of_a_disease_that_is_walked_to() -> None:
    shares = _paths_asking("quantitative")
    assert {path.about[0].clinical for path in shares} >= {"3 of 7 patients"}
    assert all(path.about[0].other not in path.entities for path in shares)


def test_the_latest_of_several_is_asked_where_two_onsets_are_stated_and_differ() -> None:
    later = make_relation("onset-marfan", MARFAN, "has_onset", "HP:0003621")
    paths = _paths_asking("temporal", later)
    assert {(path.start, path.asked, path.answer) for path in paths} == {
        ("GENE:FBN1", "latest", MARFAN)
    }
    assert [relation.relation_id for relation in paths[0].about] == ["onset-marfan", "onset-mass"]
    assert not _paths_asking("temporal"), "with one known onset there is nothing to compare"


def test_no_share_is_asked_that_the_question_words_as_a_comparison() -> None:
    graph = small_graph(without=("inherit",))  # then only its findings tell Marfan syndrome apart
    share_paths = [
        path for path, _ in _all_paths(MARFAN, range(1, 7), graph, ("quantitative",), levels=(0, 1))
    ]
    paths = [
        path
        for path in share_paths
        if any(clause.predicate == "has_finding" for hop in path.hops for clause in hop.also)
    ]
    assert paths
    assert not any(
        path.about[0].other == clause.other
        for path in paths
        for hop in path.hops
        for clause in hop.also
    )


def test_the_largest_share_is_asked_where_shares_differ() -> None:
    smaller = make_relation("lens-mass", MASS, "has_finding", _FINDING, "2 of 9 patients")
    find_possible_answers = {
        (path.start, path.asked, path.answer) for path in _paths_asking("comparative", smaller)
    }
    assert find_possible_answers == {("GENE:FBN1", "largest", MARFAN)}
    same = make_relation("lens-mass", MASS, "has_finding", _FINDING, "6 of 14 patients")
    assert not _paths_asking("comparative", same)


def test_a_chain_of_another_seed_is_not_walked() -> None:
    graph = small_graph()
    graph.chains[MARFAN] = Chain(
        "chain-x",
        STICKLER,
        (STICKLER, "HP:0000006"),
        ("inherit-stickler",),
        1,
        1,
        True,
        0.0,
        "dfs",
    )  # type: ignore[index]
    assert not any(path.on_chain for path, _ in _all_paths(MARFAN, range(1, 7), graph))
