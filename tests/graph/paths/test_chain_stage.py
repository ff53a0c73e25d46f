"""The chains stage over real annotations: chains of seed graphs, and of samples of the merged
graph."""

import functools
from pathlib import Path

import pytest
from rich.console import Console
from support.hpo_graph import hpo_graph

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import Relation, Subgraph
from medr_ray.core.run import Counts, RunDirectory, StageContext
from medr_ray.graph import storage
from medr_ray.graph.artifacts import CHAINS, SUBGRAPHS
from medr_ray.graph.paths.chains import find_longest_chain_through
from medr_ray.graph.paths.stage import CHAINS_STAGE
from medr_ray.graph.paths.validity import Step

SEEDS = 25


def build_steps_of(*links: str) -> dict[str, list[Step]]:
    """``steps_of("ab")``: a and b, walked both ways."""
    steps: dict[str, list[Step]] = {}
    for start, other in (*links, *(link[::-1] for link in links)):
        steps.setdefault(start, []).append(Step(other, f"{min(start, other)}{max(start, other)}"))
    return steps


def test_a_chain_leads_over_the_seed() -> None:
    chain = find_longest_chain_through("s", build_steps_of("ab", "bs", "sc", "cd", "de"), 12, 5.0)
    assert chain is not None
    assert chain.entities in (tuple("abscde"), tuple("edcsba"))
    assert (chain.seed, chain.length, chain.proven_optimal) == ("s", 5, True)


def test_a_longer_path_that_leaves_the_seed_out_is_none_of_its_chains() -> None:
    steps = build_steps_of("ab", "bc", "cd", "de", "cs")
    chain = find_longest_chain_through("s", steps, 12, 5.0)
    assert chain is not None
    assert "s" in (chain.entities[0], chain.entities[-1])
    assert (chain.length, chain.proven_optimal) == (3, True)
    assert find_longest_chain_through("q", steps, 12, 5.0) is None


def test_a_chain_may_end_at_a_seed_that_no_step_leaves() -> None:
    chain = find_longest_chain_through(
        "s", {"a": [Step("b", "ab")], "b": [Step("s", "bs"), Step("c", "bc")]}, 12, 5.0
    )
    assert chain is not None
    assert chain.entities == ("a", "b", "s")


# Made once: it looks through every annotation.
read_graph = functools.cache(lambda: hpo_graph(SEEDS))


@pytest.fixture(scope="module")
def relations() -> dict[str, Relation]:
    return dict(read_graph().relations)


def run_chains(
    root: Path, relations: dict[str, Relation], run_seed: int = 0, **options: object
) -> tuple[RunDirectory, Counts]:
    """The stage run over seed graphs of each seed's own relations."""
    graph = read_graph()
    run = RunDirectory(str(root))
    seeds = [entity.entity_id for entity in graph.entities.values() if entity.is_seed]
    own = {
        seed: [
            key
            for key, relation in relations.items()
            if seed in (relation.subject, relation.object)
        ]
        for seed in seeds
    }
    storage.write_graph(
        run.stage("graph"), list(graph.entities.values()), list(relations.values()), own
    )
    config = PipelineConfig.model_validate({"run": {"seed": run_seed}, "chains": options})
    return run, CHAINS_STAGE.execute(
        StageContext(config, run, run.stage("chains"), Console(quiet=True))
    )


def test_without_sampling_chains_stay_in_the_seed_graph(
    tmp_path: Path, relations: dict[str, Relation]
) -> None:
    run, counts = run_chains(tmp_path, relations)
    assert counts["max_length"] == 1
    assert "subgraphs" not in counts
    assert not run.has(SUBGRAPHS)


@pytest.mark.parametrize(
    ("strategy", "askable"), [("max_chain", False), ("mixed", False), ("mixed", True)]
)
def test_chains_of_samples(
    tmp_path: Path, relations: dict[str, Relation], strategy: str, askable: bool
) -> None:
    run, counts = run_chains(
        tmp_path, relations, subgraph=strategy, subgraph_size=20, max_hops=6, askable=askable
    )
    chains = {chain.seed: chain for chain in run.read(CHAINS)}
    samples = run.read(SUBGRAPHS)
    assert [sample.seed for sample in samples] == sorted(sample.seed for sample in samples)
    assert len(samples) == SEEDS
    assert counts["max_length"] > 3
    assert len(chains) == SEEDS if not askable else len(chains) > SEEDS // 2
    for sample in samples:
        if sample.seed not in chains:
            assert len(sample.backbone) == 1 or sample.seed not in sample.backbone
            continue
        chain = chains[sample.seed]
        assert sample.seed in chain.entities
        assert set(chain.entities) <= set(sample.entities)
        assert set(chain.relations) <= set(sample.relations)
        assert chain.length <= 6
        if sample.seed in sample.backbone:
            assert chain.length >= len(sample.backbone) - 1
    assert any(chain.entities[0] != chain.seed for chain in chains.values())
    subgraph_counts = counts["subgraphs"]
    assert sum(subgraph_counts["by_strategy"].values()) == SEEDS
    assert subgraph_counts["with_reason"] == sum(sample.reason != "" for sample in samples)
    assert subgraph_counts["mean_entities"] <= 20
    assert (set(subgraph_counts["by_strategy"]) == {"max_chain"}) == (strategy == "max_chain")


def test_the_runs_seed_decides_the_samples(tmp_path: Path, relations: dict[str, Relation]) -> None:
    def read_samples(name: str, run_seed: int) -> list[Subgraph]:
        run, _ = run_chains(
            tmp_path / name, relations, run_seed, subgraph="augmented_chain", subgraph_size=10
        )
        return run.read(SUBGRAPHS)

    samples = read_samples("first", 0)
    assert samples == read_samples("again", 0)
    assert samples != read_samples("other", 1)
