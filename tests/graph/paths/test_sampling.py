"""Samples of the merged graph: the invariants of every sample, the samples of each strategy, and
the reason that a strategy gives where it finds no backbone."""

import functools
import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.brute_chains import is_valid_path, longest_by_brute_force
from support.hpo_graph import hpo_graph

from medr_ray.core.config import ChainsConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import Relation, Subgraph
from medr_ray.graph.expansion import make_rng
from medr_ray.graph.paths import subgraph_sampling as sampling
from medr_ray.graph.paths.path_growth import search_longest_path
from medr_ray.graph.paths.sample_space import SampleSpace
from medr_ray.graph.paths.subgraph_sampling import (
    MIXED,
    NEIGHBOURHOOD,
    STRATEGIES,
    sample_subgraph,
)
from medr_ray.graph.paths.validity import Rules, build_steps, count_neighbours
from medr_ray.knowledge.predicates import PREDICATES

ALL = (*STRATEGIES, MIXED)
FLOOR = 0.5


def relation(subject: str, predicate: str, obj: str, confidence: float = 1.0) -> Relation:
    return Relation(
        f"{subject} {predicate} {obj}", subject, predicate, obj, "", "", "", confidence, "rules", ()
    )


def genes(*links: str) -> list[Relation]:
    """``genes("D1 G1", ...)``: diseases associated with genes."""
    return [relation(link.split()[0], "associated_gene", link.split()[1]) for link in links]


def findings(disease: str, *signs: str) -> list[Relation]:
    return [relation(disease, "has_finding", sign) for sign in signs]


def build_space(relations: Iterable[Relation], **options: object) -> SampleSpace:
    return SampleSpace(relations, ChainsConfig.model_validate(options), FLOOR, 0)


def draw_sample(
    space: SampleSpace, strategy: str, size: int, seed: str | None, random_seed: int = 0
) -> Subgraph:
    return sample_subgraph(space, strategy, size, seed, random.Random(random_seed))


def is_connected(subgraph: Subgraph, relations: Iterable[Relation]) -> bool:
    graph = nx.Graph(
        [
            (relation.subject, relation.object)
            for relation in relations
            if relation.relation_id in set(subgraph.relations)
        ]
    )
    graph.add_nodes_from(subgraph.entities)
    return nx.is_connected(graph) and set(graph) == set(subgraph.entities)


def find_component(relations: Iterable[Relation], seed: str) -> set[str]:
    graph = nx.Graph(
        [
            (relation.subject, relation.object)
            for relation in relations
            if relation.confidence >= FLOOR
        ]
    )
    graph.add_node(seed)
    return set(nx.node_connected_component(graph, seed))


def is_valid_backbone(
    subgraph: Subgraph, relations: Sequence[Relation], config: ChainsConfig
) -> bool:
    """Whether some relations between its entities, in this order, make a valid path."""
    steps = build_steps(
        relations, count_neighbours(relations), subgraph.seed, config.hub_degree, FLOOR
    )
    rules = Rules(config.unique_predicates, config.temporal_order)
    choices = [
        [step for step in steps.get(start, ()) if step.target == target]
        for start, target in itertools.pairwise(subgraph.backbone)
    ]
    return any(
        is_valid_path(subgraph.backbone[0], path, steps, rules)
        for path in itertools.product(*choices)
    )


def check_invariants(
    subgraph: Subgraph, relations: Sequence[Relation], size: int, config: ChainsConfig
) -> None:
    """Checks the invariants of every sample."""
    entities, reach = set(subgraph.entities), find_component(relations, subgraph.seed)
    assert subgraph.seed in entities
    assert len(entities) == len(subgraph.entities) == min(size, len(reach))
    assert is_connected(subgraph, relations)
    assert subgraph.relations == tuple(
        sorted(
            relation.relation_id
            for relation in relations
            if relation.confidence >= FLOOR and {relation.subject, relation.object} <= entities
        )
    )
    assert set(subgraph.backbone) <= entities
    assert len(subgraph.backbone) - 1 <= config.max_hops
    assert is_valid_backbone(subgraph, relations, config)
    assert subgraph.used in STRATEGIES or (subgraph.used == NEIGHBOURHOOD and subgraph.reason)
    assert subgraph.strategy in (MIXED, subgraph.used) or subgraph.used == NEIGHBOURHOOD
    assert ("taken whole" in subgraph.reason) == (len(reach) < size)


@st.composite
def typed_relations(draw: st.DrawFn) -> list[Relation]:
    relations_by_id: dict[str, Relation] = {}
    for name, first, other, confidence in draw(
        st.lists(
            st.tuples(
                st.sampled_from(sorted(PREDICATES)),
                st.integers(0, 4),
                st.integers(0, 4),
                st.sampled_from((0.3, 0.9)),
            ),
            min_size=1,
            max_size=45,
        )
    ):
        predicate = PREDICATES[name]
        edge = relation(
            f"{predicate.subject_type}{first}", name, f"{predicate.object_type}{other}", confidence
        )
        relations_by_id[edge.relation_id] = edge
    return list(relations_by_id.values())


@settings(max_examples=250, deadline=None)
@given(
    typed_relations(),
    st.sampled_from(ALL),
    st.integers(1, 12),
    st.sampled_from((1, 3, 12)),
    st.sampled_from((2, 4, 200)),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_sample_of_any_graph(
    relations: list[Relation],
    strategy: str,
    size: int,
    max_hops: int,
    hub_degree: int,
    unique: bool,
    rng: random.Random,
) -> None:
    options = {"max_hops": max_hops, "hub_degree": hub_degree, "unique_predicates": unique}
    space = build_space(relations, **options)
    seed = rng.choice([*space.entities, "disease0"])
    subgraph = draw_sample(space, strategy, size, seed)
    assert subgraph.seed == seed
    check_invariants(subgraph, relations, size, space.config)
    if subgraph.used == "dual_core_bridge":
        assert subgraph.backbone[-1] not in space.neighbours(subgraph.backbone[0])
    shuffled = rng.sample(relations, len(relations))
    assert draw_sample(build_space(shuffled, **options), strategy, size, seed) == subgraph


LINE = genes("D1 G1", "D2 G1", "D2 G2", "D3 G2", "D3 G3")
SIGNS = [
    finding
    for disease in ("D1", "D2", "D3")
    for finding in findings(disease, *(f"{disease}-P{i}" for i in range(6)))
]


def test_augmented_chain_is_a_path_and_its_neighbours() -> None:
    ends = set()
    for draw in range(20):
        subgraph = draw_sample(build_space(LINE + SIGNS), "augmented_chain", 8, "D1", draw)
        backbone = subgraph.backbone
        assert backbone[0] == "D1"
        assert len(backbone) >= 3
        beside = set(subgraph.entities) - set(backbone)
        near = {
            end
            for relation in LINE + SIGNS
            for end in (relation.subject, relation.object)
            if {relation.subject, relation.object} & set(backbone)
        }
        assert beside <= near
        ends.add(backbone[-1])
    assert len(ends) > 3


def test_a_community_is_not_left_while_it_lasts() -> None:
    first = genes(*(f"D{i} G{j}" for i in range(4) for j in range(4)))
    other = genes(*(f"E{i} H{j}" for i in range(4) for j in range(4)))
    subgraph = draw_sample(
        build_space([*first, *other, *genes("D0 H0")]), "community_core_path", 8, "D3"
    )
    assert subgraph.entities == tuple(f"{kind}{i}" for kind in "DG" for i in range(4))
    assert len(subgraph.backbone) == 8  # there is a path through all of them
    assert subgraph.reason == ""


def test_a_community_too_small_says_so() -> None:
    two = [
        *genes("D1 G1", "D1 G2", "D2 G1", "D2 G2"),
        *genes("E1 H1", "E1 H2", "E2 H1", "E2 H2"),
        *genes("E1 G2"),
    ]
    subgraph = draw_sample(build_space(two), "community_core_path", 6, "D1")
    assert {"D1", "D2", "G1", "G2"} < set(subgraph.entities)
    assert subgraph.reason == "community of 4 entities is smaller than 6: what lies around it joins"
    assert subgraph.used == "community_core_path"


STARS = genes(
    *(f"D{i} G1" for i in range(9)),
    *(f"E{i} G2" for i in range(9)),
    "D0 G3",
    "S G3",
    "S G4",
    "E0 G4",
)


def test_a_bridge_leads_over_the_seed_to_another_community() -> None:
    space = build_space(STARS)
    ends: Counter[frozenset[str]] = Counter()
    for draw in range(60):
        subgraph = draw_sample(space, "dual_core_bridge", 15, "S", draw)
        first, other = subgraph.backbone[0], subgraph.backbone[-1]
        assert "S" in subgraph.backbone[1:-1]
        assert other not in space.neighbours(first)
        assert space.communities.number_of[first] != space.communities.number_of[other]
        assert subgraph.reason == ""
        ends[frozenset((first, other))] += 1
    assert ends[frozenset(("G1", "G2"))] > 5


def test_both_cores_of_a_bridge_bring_their_neighbours() -> None:
    draws = (
        draw_sample(build_space(STARS), "dual_core_bridge", 15, "S", draw) for draw in range(30)
    )
    subgraph = next(
        candidate
        for candidate in draws
        if {"G1", "G2"} == {candidate.backbone[0], candidate.backbone[-1]}
    )
    beside = Counter(entity[0] for entity in subgraph.entities if entity not in subgraph.backbone)
    assert beside == {"D": 4, "E": 4}


def test_a_seed_with_one_way_out_is_a_core_itself() -> None:
    subgraph = draw_sample(
        build_space([*STARS, relation("D9", "associated_gene", "G1")]), "dual_core_bridge", 8, "D9"
    )
    assert subgraph.backbone[0] == "D9"
    assert len(subgraph.backbone) > 2
    assert subgraph.reason == "no path over the seed joins two cores: it is one of them"


def test_max_chain_is_not_cut_at_half_the_sample_nor_lured_into_a_crowd() -> None:
    crowd = findings("S", *(f"P{i}" for i in range(20)))
    thin = genes("S G1", "D1 G1", "D1 G2", "D2 G2", "D2 G3", "D3 G3")
    subgraph = draw_sample(build_space(crowd + thin), "max_chain", 8, "S")
    assert (
        set(subgraph.backbone) == set(subgraph.entities) > {"S", "G1", "D1", "G2", "D2", "G3", "D3"}
    )
    assert subgraph.backbone[1:-1] in (
        tuple(way)
        for way in (["S", "G1", "D1", "G2", "D2", "G3"], ["G3", "D2", "G2", "D1", "G1", "S"])
    )
    assert len(draw_sample(build_space(crowd + thin), "max_chain", 5, "S").backbone) == 5
    assert (
        len(draw_sample(build_space(crowd + thin, max_hops=3), "max_chain", 8, "S").backbone) == 4
    )


@settings(max_examples=60, deadline=None)
@given(typed_relations(), st.integers(2, 9), st.integers(0, 3))
def test_max_chain_is_the_longest(relations: list[Relation], size: int, draw: int) -> None:
    """By chance and by search alike."""
    space = build_space(relations)
    seed = next(entity for entity in ("disease0", *space.entities))
    steps = build_steps(
        [relation for relation in relations if relation.confidence >= FLOOR],
        count_neighbours(relations),
        seed,
        200,
        FLOOR,
    )
    longest = longest_by_brute_force(
        sorted({seed, *steps}), steps, min(size - 1, 12), Rules(), seed
    )
    assert len(draw_sample(space, "max_chain", size, seed, draw).backbone) == longest + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sampling,
            "search_longest_path",
            functools.partial(search_longest_path, restarts=1, max_states=2),
        )
        subgraph = draw_sample(space, "max_chain", size, seed, draw)
    assert len(subgraph.backbone) == longest + 1
    assert "cut short" not in subgraph.reason


def test_a_search_that_was_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sampling,
        "search_longest_path",
        functools.partial(search_longest_path, restarts=1, max_states=2),
    )
    monkeypatch.setattr(sampling, "_MAX_EXACT_ENTITIES", 4)
    subgraph = draw_sample(build_space(LINE + SIGNS), "max_chain", 10, "D1")
    assert subgraph.reason == "the search was cut short: there may be a longer chain"
    assert subgraph.used == "max_chain"


def test_mixed_draws_by_weight() -> None:
    space = build_space(
        LINE + SIGNS, mixed_weights={"max_chain": 2, "augmented_chain": 1, "dual_core_bridge": 0}
    )
    used = Counter(draw_sample(space, MIXED, 6, "D1", draw).used for draw in range(150))
    assert set(used) == {"max_chain", "augmented_chain"}
    assert 1.3 < used["max_chain"] / used["augmented_chain"] < 3
    assert {
        draw_sample(build_space(LINE + SIGNS), MIXED, 6, "D1", draw).used for draw in range(60)
    } == set(STRATEGIES)


@pytest.mark.parametrize(
    "weights",
    [{}, {"max_chain": 0}, {"max_chain": -1, "augmented_chain": 3}, {"max_chain": float("inf")}],
)
def test_weights_that_nothing_can_be_drawn_by(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="mixed_weights"):
        ChainsConfig.model_validate({"mixed_weights": weights})


def test_nothing_is_walked_through_a_hub_but_it_fills_up() -> None:
    values = [relation(f"D{i}", "has_inheritance", "V") for i in range(6)]
    relations = [*values, *genes("D0 G1", "D1 G1")]
    subgraph = draw_sample(build_space(relations, hub_degree=3), "max_chain", 5, "D0")
    assert subgraph.backbone in (("D0", "G1", "D1", "V"), ("D1", "G1", "D0", "V"))
    through = draw_sample(
        build_space(genes(*(f"D{i} G1" for i in range(6))), hub_degree=3), "max_chain", 4, "D0"
    )
    assert through.backbone == ("D0", "G1")
    assert len(through.entities) == 4


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_seed_that_no_step_leaves(strategy: str) -> None:
    relations = [relation("D1", "has_inheritance", "V"), relation("D2", "has_inheritance", "V")]
    subgraph = draw_sample(build_space(relations), strategy, 3, "V")
    check_invariants(subgraph, relations, 3, ChainsConfig())
    if subgraph.used == NEIGHBOURHOOD:
        assert subgraph.backbone in (("D1", "V"), ("D2", "V"))
        assert subgraph.reason.startswith("no valid ")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_paths_may_lead_to_the_seed_only(strategy: str) -> None:
    subgraph = draw_sample(
        build_space([relation("D1", "has_inheritance", "V"), *genes("D1 G1")]), strategy, 3, "V"
    )
    assert subgraph.backbone == ("G1", "D1", "V")
    assert subgraph.used == strategy


@pytest.mark.parametrize("strategy", ALL)
def test_a_small_component_is_taken_whole(strategy: str) -> None:
    subgraph = draw_sample(build_space([*LINE, *genes("E1 H1")]), strategy, 40, "D2")
    assert subgraph.entities == ("D1", "D2", "D3", "G1", "G2", "G3")
    assert subgraph.reason.startswith("component of 6 entities is smaller than 40: taken whole")
    assert subgraph.used != NEIGHBOURHOOD


@pytest.mark.parametrize("strategy", ALL)
def test_a_seed_without_relations_is_alone(strategy: str) -> None:
    subgraph = draw_sample(
        build_space([*LINE, relation("D7", "associated_gene", "G1", 0.4)]), strategy, 40, "D7"
    )
    assert (subgraph.entities, subgraph.relations, subgraph.backbone) == (("D7",), (), ("D7",))
    assert subgraph.reason.startswith("component of 1 entities is smaller than 40: taken whole")


def test_without_a_seed_one_is_drawn() -> None:
    space = build_space(LINE + SIGNS)
    subgraphs = [draw_sample(space, "max_chain", 6, None, draw) for draw in range(40)]
    assert len({subgraph.seed for subgraph in subgraphs}) > 10
    assert all(subgraph.seed in subgraph.entities for subgraph in subgraphs)
    with pytest.raises(DataError, match="min_confidence"):
        draw_sample(build_space([]), "max_chain", 6, None)


def test_invalid_requests_are_configuration_errors() -> None:
    with pytest.raises(
        ConfigError,
        match="one of augmented_chain, community_core_path, dual_core_bridge, max_chain",
    ):
        draw_sample(build_space(LINE), "random", 6, "D1")
    with pytest.raises(ConfigError, match="subgraph_size"):
        draw_sample(build_space(LINE), "max_chain", 0, "D1")


def draw_real_samples(strategy: str) -> list[Subgraph]:
    graph = hpo_graph(40)
    space = build_space(graph.relations.values(), max_hops=6)
    seeds = sorted(entity.entity_id for entity in graph.entities.values() if entity.is_seed)
    return [sample_subgraph(space, strategy, 25, seed, make_rng(0, seed)) for seed in seeds]


@pytest.mark.parametrize("strategy", ALL)
def test_real_annotations(strategy: str) -> None:
    relations = list(hpo_graph(40).relations.values())
    samples = draw_real_samples(strategy)
    for sample in samples:
        check_invariants(sample, relations, 25, ChainsConfig(max_hops=6))
    assert sum(len(sample.entities) == 25 for sample in samples) > 30
    assert sum(sample.used != NEIGHBOURHOOD for sample in samples) > 30
    assert sum(len(sample.backbone) > 2 for sample in samples) > 30


def draw_every_sample() -> list[dict[str, object]]:
    """Of a hand-made graph, by every strategy around every entity."""
    space = build_space([*LINE, *SIGNS, *STARS, *genes("E1 G3")])
    return [
        vars(draw_sample(space, strategy, 12, seed)) for strategy in ALL for seed in space.entities
    ]


@pytest.mark.slow
def test_every_process_draws_the_same() -> None:
    """Sets of names are ordered differently in every process."""
    script = (
        "import json, sys; sys.path.insert(0, 'tests/graph/paths'); import test_sampling; "
        "print(json.dumps(test_sampling.draw_every_sample()))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**env, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(json.loads(outputs[0])) > 100
