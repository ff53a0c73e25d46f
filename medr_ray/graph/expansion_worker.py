"""The actor that expands seeds: index, matcher and vocabulary open, one group of seeds per call."""

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
    focused,
)
from medr_ray.graph.extraction.linking import Linker, NameEncoder, is_by_similarity
from medr_ray.graph.extraction.llm_extractor import RELATION_TOKENS, LLMExtractor
from medr_ray.graph.storage import GrownSeed
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.llm.roles import open_chat_client
from medr_ray.retrieval.documents import HPO, PUBMED, Document
from medr_ray.retrieval.retriever import Retriever

_REMEMBERED = 4096  # documents with their relations: some tens of MB


class IndexLibrary:
    """Documents out of the index. Names are looked up by their words, so full text is asked and no
    model is loaded. Citations and disease records alone are read: what labels and trials say is not
    worded as relations (``foreign``: the index holds such)."""

    def __init__(self, retriever: Retriever, foreign: bool = False) -> None:
        self._retriever, self._sources = retriever, (PUBMED, HPO) if foreign else None

    def record(self, entity: str) -> Document | None:
        """The disease record of an entity."""
        return self._retriever.document(f"HPO:{entity}")

    def about(self, query: str, count: int) -> list[Document]:
        """The best documents for a query by relevance and clinical authority."""
        return self._retriever.medical_documents(query, count, self._sources, mode="text")


class RememberingExtractor:
    """An extractor that reads a document once: records and abstracts come up again for many
    seeds."""

    def __init__(self, extractor: RelationExtractor) -> None:
        self._read = functools.lru_cache(_REMEMBERED)(extractor.extract)

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        """The document's relations, only those that touch an entity of ``focus`` where it is
        given."""
        found = self._read(document)
        return Extraction(found.entities, focused(found.relations, focus))


class ExpansionWorker:
    """A Ray actor of the graph stage."""

    def __init__(
        self, config: PipelineConfig, run: RunDirectory, directory: Directory, folder: str
    ) -> None:
        self._directory, self._parts = directory, Parts(directory, folder)
        vocabulary = Vocabulary.load(run.stage("entities"), load_hpo().replaced)
        retriever = Retriever.open(run.stage("index"), config.retrieval, config.models)
        foreign = not {one.source for one in config.index.sources} <= {PUBMED, HPO}
        extractor = _extractor(config, run, vocabulary)
        self._model = extractor if isinstance(extractor, LLMExtractor) else None
        self._expander = Expander(
            IndexLibrary(retriever, foreign),
            extractor,
            vocabulary,
            config.graph,
            config.run.seed,
            self._model.prepare if self._model else None,
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write the part ``row["part"]`` with the graphs of ``row["seeds"]``. A seed that the part
        holds already is grown again only where there is something else to read than then; where the
        part was made from the index ``row["index"]`` there cannot be."""
        earlier = self._earlier(row["part"], row["index"])
        grown = [earlier.get(seed) or self._grow(seed) for seed in row["seeds"]]
        report = {"index": row["index"], "seeds": row["seeds"]}
        self._parts.write(row["part"], row["made_from"], to_table(GrownSeed, grown), report)
        return {
            "seeds": len(grown),
            "kept": sum(seed in earlier for seed in row["seeds"]),
            "relations": sum(len(one.relations) for one in grown),
        }

    def _grow(self, seed: str) -> GrownSeed:
        grown = self._expander.expand(seed).grown()
        return replace(grown, failures=tuple(self._model.take_failures())) if self._model else grown

    def _earlier(self, part: str, index: str) -> dict[str, GrownSeed]:
        """What the part holds that is still so, by seed."""
        if not self._parts.is_finished(part):
            return {}
        marker = self._parts.read_marker(part)
        grown = self._directory.read_records(f"{self._parts.folder}/{part}.parquet", GrownSeed)
        return {
            one.seed: one
            for one in grown
            if marker["index"] == index or self._expander.still_holds(one)
        }


def _extractor(
    config: PipelineConfig, run: RunDirectory, vocabulary: Vocabulary
) -> RelationExtractor:
    matcher = Matcher.load(run.stage("entities"))
    rules = RulesExtractor(vocabulary, matcher, load_hpo(), config.graph.min_confidence)
    if config.graph.extractor == "rules":
        return RememberingExtractor(rules)
    client = open_chat_client(config.llm, run)
    most = max(1, config.llm.max_tokens // RELATION_TOKENS)
    linker = _linker(config, vocabulary, matcher)
    return LLMExtractor(client, config.llm.model, vocabulary, matcher, rules, linker, most)


def _linker(config: PipelineConfig, vocabulary: Vocabulary, matcher: Matcher) -> Linker:
    """Raises MedrError at once where names are to be compared by an encoder that is not there."""
    if not is_by_similarity(config.graph.link_similarity):
        return Linker(vocabulary, matcher)
    model_path(config.models.encoder)

    def encoder() -> NameEncoder:
        from medr_ray.engines.encoder import Encoder

        return Encoder(config.models.encoder)

    return Linker(vocabulary, matcher, config.graph.link_similarity, encoder)
