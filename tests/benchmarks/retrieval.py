"""Retrieval on BioASQ: nDCG@10 and recall@100 of full text, vectors, both, and authority on top,
beside bm25s.

The questions of the golden test batches 7B to 9B are asked. A document is a cited paper: its
snippets, each once, a line each; the gold of a question is the papers its snippets come from.
Documents of all questions asked make the index, so a question is answered among those of the
others. Every document's text is embedded (MiniLM). The peer is bm25s over the same texts, with its
English stop words and the word stems of our full-text index.

Snippets have no publication types: authority is the same for all of them and cannot change the
order. What it must not do is measured with authority drawn at random: how much of the ranking the
relevance floor keeps.

``quick`` asks two of the nine batches.
"""

import gzip
import importlib.util
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from support.full_lexicon import shared_data

from medr_ray.core.config import IndexConfig, ModelsConfig, RetrievalConfig
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import Directory
from medr_ray.engines.encoder import Encoder
from medr_ray.retrieval import index, ranking
from medr_ray.retrieval.authority import LEVELS
from medr_ray.retrieval.documents import PUBMED, Document
from medr_ray.retrieval.retriever import RetrievalHit, Retriever
from medr_ray.retrieval.word_rarity import count_words, select_common_words

PEER, INSTALL = "bm25s", "pip install bm25s"
QUICK = ("7B1", "8B1")
_DEPTH = 100
_THREADS = 2  # nothing else runs

Ranking = Sequence[str]
Search = Callable[[str], Ranking]


@dataclass(frozen=True)
class BioasqQuestion:
    """A question and the documents that answer it."""

    text: str
    gold: frozenset[str]


def measure(quick: bool) -> Iterator[Measurement]:
    documents, questions = read_bioasq(
        shared_data() / "benchmarks" / "bioasq", QUICK if quick else ()
    )
    with tempfile.TemporaryDirectory() as folder:
        directory = _build_index(Path(folder), documents)
        peer = _open_peer(documents, directory)
        retriever = Retriever.open(
            directory, RetrievalConfig(candidates=_DEPTH, results=_DEPTH), ModelsConfig()
        )
        yield from _measure_modes(documents, questions, retriever, peer)


def read_bioasq(
    folder: Path, batches: Sequence[str]
) -> tuple[list[Document], list[BioasqQuestion]]:
    """The documents by id and the questions of the batches, of all where none is named."""
    texts: dict[str, dict[str, None]] = {}
    questions = []
    for file in sorted(folder.glob("*_golden.json.gz")):
        if batches and file.name.split("_")[0] not in batches:
            continue
        with gzip.open(file) as stream:
            golden = json.load(stream)["questions"]
        for item in golden:
            gold = set()
            for snippet in item["snippets"]:
                key = f"PMID:{snippet['document'].rpartition('/')[2]}"
                texts.setdefault(key, {})[" ".join(snippet["text"].split())] = None
                gold.add(key)
            questions.append(BioasqQuestion(item["body"], frozenset(gold)))
    return [
        Document(key, PUBMED, "", "\n".join(lines), None, (), False, "")
        for key, lines in sorted(texts.items())
    ], questions


def ndcg(document_ids: Ranking, gold: frozenset[str], depth: int = 10) -> float:
    """Normalised discounted cumulative gain with binary relevance (Järvelin and Kekäläinen 2002,
    log2(rank + 1))."""
    gain = sum(
        1 / math.log2(rank + 2)
        for rank, document_id in enumerate(document_ids[:depth])
        if document_id in gold
    )
    return gain / sum(1 / math.log2(rank + 2) for rank in range(min(depth, len(gold))))


def recall(document_ids: Ranking, gold: frozenset[str], depth: int = _DEPTH) -> float:
    return len(gold.intersection(document_ids[:depth])) / len(gold)


def _build_index(folder: Path, documents: Sequence[Document]) -> Directory:
    directory, config = Directory(str(folder)), IndexConfig(embed="titles_and_abstracts")
    encoder = Encoder(ModelsConfig().encoder, config.batch_size, _THREADS)
    vectors = encoder.encode([document.text for document in documents])
    rows = index.build_table(
        directory,
        [index.build_batch(documents, vectors, encoder.dimensions)],
        config,
        encoder.dimensions,
    )
    directory.write_table(index.COMMON_WORDS, select_common_words([count_words(documents)], rows))
    index.IndexSettings.from_config(
        config, index.compute_mean_cosine(vectors[:: max(1, len(vectors) // 2000)])
    ).write(directory)
    return directory


def _measure_modes(
    documents: Sequence[Document],
    questions: Sequence[BioasqQuestion],
    retriever: Retriever,
    peer: Search | None,
) -> Iterator[Measurement]:
    theirs, their_seconds = _time_searches(questions, peer) if peer else ([], 0.0)
    if not peer:
        yield skip_measurement("full text, vectors and hybrid beside BM25", PEER, INSTALL)
    searches: Mapping[str, Callable[[str], Sequence[RetrievalHit]]] = {
        "full text": lambda query: retriever.search(query, mode="text"),
        "vectors": lambda query: retriever.search(query, mode="vector"),
        "hybrid": lambda query: retriever.search(query, mode="hybrid"),
        "hybrid + authority": lambda query: retriever.medical_search(query, mode="hybrid"),
    }
    setting = f"{len(questions):,} questions, {len(documents):,} documents"
    for name, search in searches.items():
        ours, seconds = _time_searches(
            questions, lambda query, search=search: [hit.document_id for hit in search(query)]
        )
        note = (
            "snippets have no publication types: authority is equal for all"
            if "authority" in name
            else setting
        )
        least = 1.0 if name.startswith("hybrid") else None
        for measure_name, score in (("nDCG@10", ndcg), ("recall@100", recall)):
            yield _compare(f"{name}: {measure_name}", score, questions, ours, theirs, least, note)
        if name in ("full text", "hybrid"):
            yield build_measurement(
                f"{name}: queries/s",
                len(questions) / seconds,
                len(questions) / their_seconds if theirs else None,
                PEER if theirs else "",
                unit="1/s",
                note="one thread, 100 hits each with a snippet; bm25s gives numbers of documents"
                if theirs
                else "one thread, 100 hits each with a snippet",
            )
    yield _measure_floor(questions, retriever)


def _compare(
    name: str,
    score: Callable[[Ranking, frozenset[str]], float],
    questions: Sequence[BioasqQuestion],
    ours: Sequence[Ranking],
    theirs: Sequence[Ranking],
    least: float | None,
    note: str,
) -> Measurement:
    figures = [
        float(
            np.mean(
                [
                    score(document_ids, question.gold)
                    for document_ids, question in zip(rankings, questions, strict=True)
                ]
            )
        )
        for rankings in (ours, theirs)
        if rankings
    ]
    if len(figures) == 1:
        return build_measurement(name, figures[0], note=note)
    return build_measurement(name, figures[0], figures[1], PEER, least_ratio=least, note=note)


def _time_searches(
    questions: Sequence[BioasqQuestion], search: Search
) -> tuple[list[Ranking], float]:
    """What is found for each question, and the seconds it took."""
    search(questions[0].text)  # what is loaded at the first query
    started = time.perf_counter()
    # With a space more, so that no answer comes from the cache.
    rankings = [search(question.text + " ") for question in questions]
    return rankings, time.perf_counter() - started


def _open_peer(documents: Sequence[Document], directory: Directory) -> Search | None:
    """bm25s over the words of our own full-text index; None where it is not installed."""
    if not importlib.util.find_spec(PEER):
        return None
    import bm25s

    table = index.open_table(directory)

    def split_stems(text: str) -> list[str]:
        return [token.text for token in table.tokenize(text, column="text")]

    searcher = bm25s.BM25()
    searcher.index([split_stems(document.text) for document in documents], show_progress=False)
    ids = [document.document_id for document in documents]

    def search(query: str) -> Ranking:
        numbers, _ = searcher.retrieve(
            [split_stems(query)], k=min(_DEPTH, len(ids)), show_progress=False
        )
        return [ids[number] for number in numbers[0]]

    return search


def _measure_floor(questions: Sequence[BioasqQuestion], retriever: Retriever) -> Measurement:
    """Authority at random, with the floor and without: nDCG@10."""
    rng = random.Random(0)
    levels, weight = sorted(LEVELS.values()), RetrievalConfig().relevance_weight
    with_floor, without = [], []
    for question in questions:
        hits = retriever.search(question.text + " ", mode="hybrid")  # as asked before: remembered
        relevance = [hit.relevance for hit in hits]
        authority = [rng.choice(levels) for _ in hits]
        floored = ranking.clinical_scores(relevance, authority, weight)
        plain = [
            weight * rel + (1 - weight) * auth
            for rel, auth in zip(relevance, authority, strict=True)
        ]
        for scores, figures in ((floored, with_floor), (plain, without)):
            document_ids = [
                hits[i].document_id for i in sorted(range(len(hits)), key=lambda i: -scores[i])
            ]
            figures.append(ndcg(document_ids, question.gold))
    return build_measurement(
        "authority at random: nDCG@10",
        float(np.mean(with_floor)),
        float(np.mean(without)),
        "no relevance floor",
        note="what the floor keeps when authority says nothing about the question",
    )
