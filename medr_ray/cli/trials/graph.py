"""Trials of the extractor of relations. They are in English, as the documents are in which entities
are found."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from medr_ray.cli.trials.trial import Outcome, Trial, read_entries
from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.extractor import RulesExtractor
from medr_ray.graph.extraction.llm_extractor import LLMExtractor
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.lexicon import Concept
from medr_ray.llm.client import ChatClient
from medr_ray.retrieval.documents import PUBMED, Document

_YEAR = 2020


def list_extractor_trials(config: PipelineConfig, endpoint: EndpointConfig) -> Iterator[Trial]:
    """The relations that a short document states, and no others."""
    content = read_entries("extractor")
    concepts = [_build_concept(entry) for entry in content["concepts"]]
    vocabulary = Vocabulary(concepts)
    matcher = Matcher.build(concepts, config.entities.min_form_length)
    for number, entry in enumerate(content["documents"], 1):
        document = Document(
            f"PMID:{number}", PUBMED, entry["name"], entry["text"], _YEAR, (), False, ""
        )
        expected = {tuple(triple) for triple in entry["expected"]}
        rules = RulesExtractor(vocabulary, matcher, Hpo({}, {}, (), {}))
        ask = functools.partial(_extract, endpoint, vocabulary, matcher, rules, document, expected)
        yield Trial(entry["name"], entry["text"], _describe(expected), ask)


def _build_concept(entry: Mapping[str, Any]) -> Concept:
    symbols = tuple(entry["forms"]) if entry["type"] == "gene" else ()
    return Concept(entry["id"], entry["name"], entry["type"], tuple(entry["forms"]), "", symbols)


def _extract(
    endpoint: EndpointConfig,
    vocabulary: Vocabulary,
    matcher: Matcher,
    rules: RulesExtractor,
    document: Document,
    expected: set[tuple[str, ...]],
    client: ChatClient,
) -> Outcome:
    extractor = LLMExtractor(client, endpoint.model, vocabulary, matcher, rules)
    relations = extractor.extract(document).relations
    triples: set[tuple[str, ...]] = {
        (relation.subject, relation.predicate, relation.object) for relation in relations
    }
    failures = extractor.take_failures()
    # What was dropped does not count: it reaches no graph. A reply that cannot be read does.
    is_read = all(failure.kind != "unreadable" for failure in failures)
    notes = "".join(f"; dropped ({failure.kind}): {failure.detail}" for failure in failures)
    return Outcome(is_read and triples == expected, f"{_describe(triples)}{notes}")


def _describe(triples: set[tuple[str, ...]]) -> str:
    return "; ".join(sorted(" ".join(triple) for triple in triples)) or "no relation"
