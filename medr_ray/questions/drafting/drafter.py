"""Drafts questions for one seed after another, words them by rules and verifies them.

The stage chooses from the accepted drafts. The outcome for a seed depends only on the graph, the
configuration and the run's seed, so it does not matter which worker drafts which seeds. A rejected
draft is recorded with every reason for which it failed.
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
from medr_ray.graph.facts.curated_statements import build_full_index
from medr_ray.graph.facts.disambiguation import Disambiguator
from medr_ray.graph.facts.fact_index import FactIndex, is_stated_in
from medr_ray.questions.checks.cardinality import find_basis
from medr_ray.questions.checks.question_verification import QuestionVerifier
from medr_ray.questions.drafting.obfuscation import describe_start, is_describing_level
from medr_ray.questions.drafting.plan_candidates import (
    CandidatePlanner,
    LevelDisambiguators,
    SeedInput,
)
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.drafting.walks import WalkGrower
from medr_ray.questions.split import Candidate
from medr_ray.questions.wording.writers import Draft, QuestionWriter, open_rules_writer


@dataclass(frozen=True)
class QuestionGraph:
    """The graph that questions are drafted from.

    ``entities`` are by entity id and ``relations`` by relation id. ``seed_graphs`` maps the entity
    id of a seed to the ids of its relations, ``chains`` to its chain (a seed without one is
    missing), and ``specialties`` to its specialty.
    """

    entities: Mapping[str, Entity]
    relations: Mapping[str, Relation]
    seed_graphs: Mapping[str, Sequence[str]]
    chains: Mapping[str, Chain]
    specialties: Mapping[str, str]


# The fields are keys of rejected.jsonl and columns of the rejected parts: they keep their names.
@dataclass(frozen=True)
class RejectedDraft:
    """A candidate that failed, and every reason why."""

    seed: str
    chain_id: str
    text: str
    reasons: tuple[str, ...]


def read_graph(run: RunDirectory) -> QuestionGraph:
    """The merged graph, the seed graphs, the chains and the seeds' specialties."""
    seeds = run.read(SEEDS)
    return QuestionGraph(
        entities={entity.entity_id: entity for entity in run.read(ENTITIES)},
        relations={relation.relation_id: relation for relation in run.read(RELATIONS)},
        seed_graphs=storage.read_seed_graphs(run.stage("graph")),
        chains={chain.seed: chain for chain in run.read(CHAINS)},
        specialties={seed.frequency.concept_id: seed.specialty for seed in seeds},
    )


class Drafter:
    """Drafts and verifies questions over one graph.

    ``facts`` are all annotated facts, including those of the graph. Walks do not lead through
    entities with more than ``hub_degree`` neighbours.
    """

    def __init__(
        self,
        graph: QuestionGraph,
        facts: FactIndex,
        config: QuestionsConfig,
        run_seed: int,
        hub_degree: int,
    ) -> None:
        self._graph = graph
        self._facts = facts
        self._config = config
        self._run_seed = run_seed
        # Questions are asked only about relations that the configured sources state. Verification
        # still uses all facts, so that an answer from another source counts as well.
        relations = [
            relation
            for relation in graph.relations.values()
            if is_stated_in(relation, config.sources)
        ]
        disambiguators = LevelDisambiguators(
            exact=Disambiguator(relations, facts, compare=False, max_clauses=config.clauses),
            comparing=Disambiguator(relations, facts, compare=True, max_clauses=config.clauses),
        )
        self._planner = CandidatePlanner(
            facts, disambiguators, WalkGrower(relations, facts, hub_degree), config
        )
        self._writer = open_rules_writer(config.language, graph.entities)
        self._verifier = QuestionVerifier(graph.entities, graph.relations, facts, config.sources)

    @classmethod
    def from_graph(cls, graph: QuestionGraph, config: PipelineConfig) -> "Drafter":
        """A drafter that knows the graph and every annotated fact about its entities."""
        facts = build_full_index(graph.entities, graph.relations.values())
        return cls(graph, facts, config.questions, config.run.seed, config.chains.hub_degree)

    def draft_seed(self, seed: str) -> tuple[list[Candidate], list[RejectedDraft]]:
        """(accepted candidates of the seed, rejected ones with reasons), each in a fixed order."""
        relations = [
            self._graph.relations[relation_id] for relation_id in self._graph.seed_graphs[seed]
        ]
        seed_input = SeedInput(
            seed, self._graph.chains.get(seed), relations, self._graph.relations, self._run_seed
        )
        drafts = [
            self._make_draft(path, level) for path, level in self._planner.plan_paths(seed_input)
        ]
        # Levels that describe the start need a description that fits only that entity. Drop drafts
        # for which none was found.
        return self.word_and_verify(
            [
                draft
                for draft in drafts
                if draft.description or not is_describing_level(draft.obfuscation)
            ],
            self._writer,
        )

    def word_and_verify(
        self, drafts: Sequence[Draft], writer: QuestionWriter
    ) -> tuple[list[Candidate], list[RejectedDraft]]:
        """Word and verify drafts. Returns (accepted candidates, rejected ones).

        The stage calls this a second time with the configured writer, for the drafts it chose.
        """
        accepted = []
        rejected = []
        for draft, written in zip(drafts, writer.write(drafts), strict=True):
            verdict = self._verifier.verify(draft, written.text, self._config.other_hops)
            reasons = ((written.problem,) if written.problem else ()) + verdict.reasons
            if reasons:
                rejected.append(
                    RejectedDraft(draft.path.seed, draft.path.chain_id, written.text, reasons)
                )
            else:
                accepted.append(Candidate(draft, written.text, verdict))
        return accepted, rejected

    def _make_draft(self, path: QuestionPath, level: int) -> Draft:
        description = describe_start(path, self._facts) if is_describing_level(level) else None
        basis = find_basis(path, self._graph.relations, self._facts)
        return Draft(path, description, level, basis)


class DraftingWorker:
    """A Ray actor of the questions stage.

    Each call drafts a batch of seeds and writes two parts, for the accepted and the rejected
    candidates. The graph is read once per actor.
    """

    def __init__(
        self,
        config: PipelineConfig,
        run: RunDirectory,
        directory: Directory,
        accepted_folder: str,
        rejected_folder: str,
    ) -> None:
        self._directory = directory
        self._accepted_folder = accepted_folder
        self._rejected_folder = rejected_folder
        self._drafter = Drafter.from_graph(read_graph(run), config)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Draft ``batch["seeds"]`` and write the parts named ``batch["part"]``. Returns the
        counts."""
        accepted: list[Candidate] = []
        rejected: list[RejectedDraft] = []
        for seed in batch["seeds"]:
            seed_accepted, seed_rejected = self._drafter.draft_seed(seed)
            accepted += seed_accepted
            rejected += seed_rejected
        part = batch["part"]
        self._directory.write_records(f"{self._rejected_folder}/{part}", RejectedDraft, rejected)
        # Write the accepted part last: a resumed run treats its presence as proof that the batch is
        # complete.
        self._directory.write_records(f"{self._accepted_folder}/{part}", Candidate, accepted)
        return {"seeds": len(batch["seeds"]), "accepted": len(accepted), "rejected": len(rejected)}
