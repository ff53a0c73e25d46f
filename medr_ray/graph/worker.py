"""The actor that expands seeds: index, matcher and vocabulary open, one batch of seeds per call."""

from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.entities.matching import Matcher
from medr_ray.graph.expansion import Expander
from medr_ray.graph.extraction import RelationExtractor, RulesExtractor
from medr_ray.graph.llm_extraction import LLMExtractor
from medr_ray.graph.storage import GrownSeed
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.retriever import Retriever


class IndexLibrary:
    """Documents out of the index. Names are looked up by their words, so full text is asked and no model is loaded."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def record(self, entity: str) -> Document | None:
        """The disease record of an entity."""
        return self._retriever.document(f"HPO:{entity}")

    def about(self, query: str, count: int) -> list[Document]:
        """The best documents for a query by relevance and clinical authority."""
        return self._retriever.medical_documents(query, count, mode="text")


class ExpansionWorker:
    """A Ray actor of the graph stage."""

    def __init__(self, config: PipelineConfig, run: RunDirectory, directory: Directory, parts: str) -> None:
        self._directory, self._parts = directory, parts
        vocabulary = Vocabulary.load(run.stage("entities"))
        retriever = Retriever.open(run.stage("index"), config.retrieval, config.models)
        self._expander = Expander(
            IndexLibrary(retriever), _extractor(config, run, vocabulary), vocabulary, config.graph, config.run.seed)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Expand ``row["seeds"]`` into the part ``row["part"]``."""
        grown = []
        for seed in row["seeds"]:
            relations = self._expander.expand(seed).relations
            grown.append(GrownSeed(seed, tuple(relations[key] for key in sorted(relations))))
        self._directory.write_records(f"{self._parts}/{row['part']}", GrownSeed, grown)
        return {"seeds": len(grown), "relations": sum(len(one.relations) for one in grown)}


def _extractor(config: PipelineConfig, run: RunDirectory, vocabulary: Vocabulary) -> RelationExtractor:
    matcher = Matcher.load(run.stage("entities"))
    rules = RulesExtractor(vocabulary, matcher, load_hpo())
    if config.graph.extractor == "rules":
        return rules
    from medr_ray.llm.client import ChatClient

    return LLMExtractor(ChatClient(config.llm, run), config.llm.model, vocabulary, matcher, rules)
