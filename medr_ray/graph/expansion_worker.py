"""The actor that expands seeds: it keeps index, matcher and vocabulary open and takes one group of
seeds per call."""

import functools
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.parts import Parts
from medr_ray.core.records import to_table
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.engines.weights import model_path
from medr_ray.entities.matching import Matcher
from medr_ray.graph.expansion import Expander
from medr_ray.graph.extraction.extractor import (
    Extraction,
    RelationExtractor,
    RulesExtractor,
    filter_by_focus,
)
from medr_ray.graph.extraction.linking import Linker, NameEncoder, uses_similarity
from medr_ray.graph.extraction.llm_extractor import TOKENS_PER_RELATION, LLMExtractor
from medr_ray.graph.facts.fact_store import FactStore
from medr_ray.graph.facts.registry_relations import RegistryNodes
from medr_ray.graph.storage import GrownSeed
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.llm.roles import open_chat_client
from medr_ray.retrieval.documents import HPO, PUBMED, Document
from medr_ray.retrieval.retriever import Retriever

_MAX_CACHED_DOCUMENTS = 4096  # with their relations: some tens of MB


class IndexLibrary:
    """Documents from the index.

    Names are searched by their words, in full-text mode, so no model is loaded. Only citations and
    disease records are read, because labels and trials do not word their content as relations.
    ``has_other_sources`` is true where the index contains such documents.
    """

    def __init__(self, retriever: Retriever, has_other_sources: bool = False) -> None:
        self._retriever = retriever
        # Without other sources a filter would only cost time.
        self._sources = (PUBMED, HPO) if has_other_sources else None

    def find_record(self, entity: str) -> Document | None:
        """The disease record of an entity."""
        return self._retriever.document(f"HPO:{entity}")

    def search(self, query: str, count: int) -> list[Document]:
        """The best documents for a query by relevance and clinical authority."""
        return self._retriever.medical_documents(query, count, self._sources, mode="text")


class CachingExtractor:
    """An extractor that reads each document once: many seeds lead to the same records and
    abstracts."""

    def __init__(self, extractor: RelationExtractor) -> None:
        self._extract_cached = functools.lru_cache(_MAX_CACHED_DOCUMENTS)(extractor.extract)

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        """The document's relations, only those that touch an entity of ``focus`` where it is
        given."""
        # Cached without the focus, so that one entry serves every entity.
        extraction = self._extract_cached(document)
        return Extraction(extraction.entities, filter_by_focus(extraction.relations, focus))


class ExpansionWorker:
    """A Ray actor of the graph stage."""

    def __init__(
        self, config: PipelineConfig, run: RunDirectory, directory: Directory, folder: str
    ) -> None:
        self._directory = directory
        self._parts = Parts(directory, folder)
        facts = FactStore.open(run.stage("facts"))
        vocabulary = Vocabulary.from_directory(
            run.stage("entities"), load_hpo().replacements, RegistryNodes(facts)
        )
        retriever = Retriever.open(run.stage("index"), config.retrieval, config.models)
        sources = {source.source for source in config.index.sources}
        has_other_sources = not sources <= {PUBMED, HPO}
        extractor = _build_extractor(config, run, vocabulary)
        self._model = extractor if isinstance(extractor, LLMExtractor) else None
        self._expander = Expander(
            IndexLibrary(retriever, has_other_sources),
            extractor,
            vocabulary,
            config.graph,
            config.run.seed,
            self._model.prepare if self._model else None,
            facts,
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write the part ``row["part"]`` with the graphs of ``row["seeds"]``.

        A seed that the part contains already is grown again only where other documents or facts
        are found now. Where the part was made from the same index and facts
        (``row["read_from"]``), they are the same.
        """
        kept = self._read_current_seeds(row["part"], row["read_from"])
        grown_seeds = [kept.get(seed) or self._grow_seed(seed) for seed in row["seeds"]]
        report = {"read_from": row["read_from"], "seeds": row["seeds"]}
        table = to_table(GrownSeed, grown_seeds)
        self._parts.write(row["part"], row["made_from"], table, report)
        return {
            "seeds": len(grown_seeds),
            "kept": sum(seed in kept for seed in row["seeds"]),
            "relations": sum(len(grown.relations) for grown in grown_seeds),
        }

    def _grow_seed(self, seed: str) -> GrownSeed:
        """Grow a seed; with a language model, its failures since the last seed are taken along."""
        grown = self._expander.expand(seed).to_grown_seed()
        if self._model is None:
            return grown
        return replace(grown, failures=tuple(self._model.take_failures()))

    def _read_current_seeds(self, part: str, read_from: str) -> dict[str, GrownSeed]:
        """The grown seeds of the part that are up to date, by seed."""
        if not self._parts.is_finished(part):
            return {}
        is_same_source = self._parts.read_marker(part)["read_from"] == read_from
        path = f"{self._parts.folder}/{part}.parquet"
        return {
            grown.seed: grown
            for grown in self._directory.read_records(path, GrownSeed)
            if is_same_source or self._expander.is_up_to_date(grown)
        }


def _build_extractor(
    config: PipelineConfig, run: RunDirectory, vocabulary: Vocabulary
) -> RelationExtractor:
    matcher = Matcher.load(run.stage("entities"))
    rules = RulesExtractor(vocabulary, matcher, load_hpo(), config.graph.min_confidence)
    if config.graph.extractor == "rules":
        return CachingExtractor(rules)
    return LLMExtractor(
        open_chat_client(config.llm, run, "extractor"),
        config.llm.model,
        vocabulary,
        matcher,
        rules,
        _build_linker(config, vocabulary, matcher),
        max_relations=max(1, config.llm.max_tokens // TOKENS_PER_RELATION),
    )


def _build_linker(config: PipelineConfig, vocabulary: Vocabulary, matcher: Matcher) -> Linker:
    """Raises MedrError at once where names are to be compared by an encoder that is not there."""
    if not uses_similarity(config.graph.link_similarity):
        return Linker(vocabulary, matcher)
    # The encoder is made only when a name needs it; its absence must not surface hours later.
    model_path(config.models.encoder)

    def make_encoder() -> NameEncoder:
        # Imported late, with the model's libraries.
        from medr_ray.engines.encoder import Encoder

        return Encoder(config.models.encoder)

    return Linker(vocabulary, matcher, config.graph.link_similarity, make_encoder)
