"""The stages of the pipeline in order: where each is declared, and what it makes in one sentence.

This is the only list of stages. The pipeline, the report and the command line read it, so their
order cannot differ. It holds names only: a room is imported when its stage is planned.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class StageEntry:
    """``reference`` names the stage as ``module:attribute``; ``summary`` is shown by ``--help``."""

    reference: str
    summary: str


STAGES = {
    "corpus": StageEntry(
        "medr_ray.corpus.stage:CORPUS_STAGE",
        "PubMed files to citations: last version wins, deletions honoured.",
    ),
    "entities": StageEntry(
        "medr_ray.entities.stage:ENTITIES_STAGE",
        "How often each concept is named, and which rare ones are significant.",
    ),
    "facts": StageEntry(
        "medr_ray.graph.facts.stage:FACTS_STAGE",
        "What registries, curated tables and citations state, with its source.",
    ),
    "index": StageEntry(
        "medr_ray.retrieval.stage:INDEX_STAGE",
        "The searchable documents: citations, disease records, records of registries.",
    ),
    "graph": StageEntry(
        "medr_ray.graph.stage:GRAPH_STAGE",
        "A knowledge graph around each rare entity.",
    ),
    "chains": StageEntry(
        "medr_ray.graph.paths.stage:CHAINS_STAGE",
        "The longest valid path through each seed's graph.",
    ),
    "questions": StageEntry(
        "medr_ray.questions.stage:QUESTIONS_STAGE",
        "Multi-hop questions, verified, split into train and held-out.",
    ),
    "trajectories": StageEntry(
        "medr_ray.trajectories.stage:TRAJECTORIES_STAGE",
        "Agent dialogues that answer the train questions, filtered.",
    ),
    "sft": StageEntry(
        "medr_ray.training.sft_stage:SFT_STAGE",
        "Supervised fine-tuning on the accepted dialogues.",
    ),
    "grpo": StageEntry(
        "medr_ray.training.grpo_stage:GRPO_STAGE",
        "Group-relative policy optimisation on rollouts with real tools.",
    ),
    "evaluation": StageEntry(
        "medr_ray.evaluation.stage:EVALUATION_STAGE",
        "Benchmarks answered by the served models, judged.",
    ),
}
