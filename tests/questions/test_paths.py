"""Which walks become candidates."""

from support.small_graph import MARFAN, STICKLER, facts_of, small_graph

from medr_ray.questions.paths import Path, candidate_paths


def _candidates(seed: str, lengths: range, with_chain: bool = True) -> list[Path]:
    graph = small_graph()
    relations = [graph.relations[one] for one in graph.seed_graphs[seed]]
    chain = graph.chains[seed] if with_chain else None
    return candidate_paths(seed, chain, relations, graph.relations, facts_of(graph), lengths)


def test_chain_pieces_hold_the_seed_and_go_both_ways() -> None:
    walks = {path.relations for path in _candidates(STICKLER, range(1, 4)) if path.on_chain}
    assert walks == {("col2a1",), ("inherit-stickler",), ("col2a1", "inherit-stickler")}
    starts = {path.start for path in _candidates(STICKLER, range(1, 4)) if path.relations == ("col2a1",)}
    assert starts == {STICKLER, "GENE:COL2A1"}


def test_long_pieces_of_the_chain_are_candidates_up_to_the_bound() -> None:
    assert max(len(path.hops) for path in _candidates(MARFAN, range(1, 7))) == 3
    assert max(len(path.hops) for path in _candidates(MARFAN, range(1, 3))) == 2
    assert {len(path.hops) for path in _candidates(MARFAN, range(2, 3))} == {2}


def test_branches_reach_what_the_chain_does_not() -> None:
    branches = {path.relations for path in _candidates(MARFAN, range(1, 3)) if not path.on_chain}
    assert ("inherit",) in branches
    assert ("fbn1", "inherit") in branches, "gene to seed to value"


def test_vague_shares_and_directions_without_wording_are_not_asked() -> None:
    candidates = _candidates(MARFAN, range(1, 7))
    assert not any("myopia" in path.relations for path in candidates)
    assert all(hop.forward for path in candidates for hop in path.hops if hop.predicate == "has_finding")


def test_no_walk_comes_twice_and_every_one_holds_the_seed() -> None:
    candidates = _candidates(MARFAN, range(1, 7))
    assert len({path.key for path in candidates}) == len(candidates)
    assert all(MARFAN in path.entities for path in candidates)
    assert all(len(set(path.entities)) == len(path.entities) for path in candidates)


def test_a_seed_without_a_chain_still_has_branches() -> None:
    candidates = _candidates(STICKLER, range(1, 3), with_chain=False)
    assert candidates
    assert all(path.chain_id == "" for path in candidates)
