"""Drafts of one seed after another, worded by rules and verified: what the stage chooses from.

What holds: the outcome for a seed depends on the graph, the configuration and the run's seed alone,
so it does not matter who drafts which seeds; whatever fails keeps every reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import PipelineConfig, QuestionsConfig
from medr_ray.core.records import Chain, Entity, Relation
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.entities.artifacts import SEEDS
from medr_ray.graph import storage
from medr_ray.graph.artifacts import CHAINS, ENTITIES, RELATIONS
from medr_ray.graph.facts.disambiguation import Disambiguator
from medr_ray.graph.facts.fact_index import (
    FactIndex,
    build_fact_index,
    is_stated_in,
    read_ontology_facts,
)
from medr_ray.questions.checks.question_verification import Verifier
from medr_ray.questions.drafting.obfuscation import describe_start, describes
from medr_ray.questions.drafting.plan_candidates import Candidates, Source, Tellers
from medr_ray.questions.drafting.question_paths import Path
from medr_ray.questions.drafting.walks import Grower
from medr_ray.questions.split import Candidate
from medr_ray.questions.wording.writers import Draft, QuestionWriter, rules_writer


@dataclass(frozen=True)
class Graph:
    """What questions are made from."""

    entities: Mapping[str, Entity]
    relations: Mapping[str, Relation]
    seed_graphs: Mapping[str, Sequence[str]]
    chains: Mapping[str, Chain]
    specialties: Mapping[str, str]


@dataclass(frozen=True)
class Rejected:
    """A candidate that failed, and every reason why."""

    seed: str
    chain_id: str
    text: str
    reasons: tuple[str, ...]


def read_graph(run: RunDirectory) -> Graph:
    """The merged graph, the seed graphs, the chains and the seeds' specialties."""
    seeds = run.read(SEEDS)
    return Graph(
        entities={one.entity_id: one for one in run.read(ENTITIES)},
        relations={one.relation_id: one for one in run.read(RELATIONS)},
        seed_graphs=storage.read_seed_graphs(run.stage("graph")),
        chains={one.seed: one for one in run.read(CHAINS)},
        specialties={one.frequency.concept_id: one.specialty for one in seeds},
    )


class Drafter:
    """Drafts and verifies over one graph. ``facts`` are all known facts, those of the graph
    included; entities with more than ``hub_degree`` neighbours are not walked through."""

    def __init__(
        self,
        graph: Graph,
        facts: FactIndex,
        config: QuestionsConfig,
        run_seed: int,
        hub_degree: int,
    ) -> None:
        self._graph, self._facts, self._config, self._run_seed = graph, facts, config, run_seed
        relations = [one for one in graph.relations.values() if is_stated_in(one, config.sources)]
        tellers = Tellers(
            *(Disambiguator(relations, facts, compare, config.clauses) for compare in (False, True))
        )
        self._candidates = Candidates(facts, tellers, Grower(relations, facts, hub_degree), config)
        self._writer = rules_writer(config.language, graph.entities)
        self._verifier = Verifier(graph.entities, graph.relations, facts, config.sources)

    @classmethod
    def over(cls, graph: Graph, config: PipelineConfig) -> "Drafter":
        """A drafter that knows the graph and every annotated fact about its entities."""
        facts = build_fact_index(graph.entities, graph.relations.values(), read_ontology_facts())
        return cls(graph, facts, config.questions, config.run.seed, config.chains.hub_degree)

    def draft(self, seed: str) -> tuple[list[Candidate], list[Rejected]]:
        """(what can be asked around the seed, what cannot and why), each in a fixed order."""
        relations = [self._graph.relations[one] for one in self._graph.seed_graphs[seed]]
        source = Source(
            seed, self._graph.chains.get(seed), relations, self._graph.relations, self._run_seed
        )
        drafts = [self._draft(path, level) for path, level in self._candidates.of(source)]
        return self.judge(
            [one for one in drafts if one.description or not describes(one.obfuscation)],
            self._writer,
        )

    def judge(
        self, drafts: Sequence[Draft], writer: QuestionWriter
    ) -> tuple[list[Candidate], list[Rejected]]:
        """Word and verify drafts: (accepted, rejected)."""
        accepted, rejected = [], []
        for draft, written in zip(drafts, writer.write(drafts), strict=True):
            verdict = self._verifier.verify(draft, written.text, self._config.other_hops)
            reasons = ((written.problem,) if written.problem else ()) + verdict.reasons
            if reasons:
                rejected.append(
                    Rejected(draft.path.seed, draft.path.chain_id, written.text, reasons)
                )
            else:
                accepted.append(Candidate(draft, written.text, verdict))
        return accepted, rejected

    def _draft(self, path: Path, level: int) -> Draft:
        return Draft(path, describe_start(path, self._facts) if describes(level) else None, level)


class DraftingWorker:
    """A Ray actor of the questions stage: a batch of seeds per call, a part each for what passed
    and what failed."""

    def __init__(
        self,
        config: PipelineConfig,
        run: RunDirectory,
        directory: Directory,
        parts: str,
        failed: str,
    ) -> None:
        self._directory, self._parts, self._failed = directory, parts, failed
        self._drafter = Drafter.over(read_graph(run), config)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Draft ``row["seeds"]`` into the parts called ``row["part"]``."""
        accepted: list[Candidate] = []
        rejected: list[Rejected] = []
        for seed in row["seeds"]:
            passed, failed = self._drafter.draft(seed)
            accepted += passed
            rejected += failed
        self._directory.write_records(f"{self._failed}/{row['part']}", Rejected, rejected)
        self._directory.write_records(
            f"{self._parts}/{row['part']}", Candidate, accepted
        )  # last: it says "done"
        return {"seeds": len(row["seeds"]), "accepted": len(accepted), "rejected": len(rejected)}
