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

Then the rate of searches over the index of a finished run, ``runs/quickstart`` of the checkout or
the folder that MEDR_BENCH_RUN names, against LanceDB alone: the same full-text query, and for
hybrid the exact search by the same vector, which it is given for nothing, with all columns of the
same number of rows as Python objects. Ours encodes, ranks, explains and chooses snippets beside
that. What LanceDB finds must be among our candidates, places that are tied aside.

``quick`` asks two of the nine batches, and fewer searches.
"""

import functools
import gzip
import importlib.util
import json
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.full_lexicon import shared_data

from medr_ray.core.config import IndexConfig, ModelsConfig, RetrievalConfig
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.engines.encoder import Encoder
from medr_ray.engines.query_encoder import QueryEncoder
from medr_ray.knowledge.name_normalization import spell_greek_letters
from medr_ray.retrieval import index, ranking
from medr_ray.retrieval.authority import LEVELS
from medr_ray.retrieval.documents import PUBMED, Document
from medr_ray.retrieval.hit_candidates import RetrievalMode
from medr_ray.retrieval.retriever import RetrievalHit, Retriever
from medr_ray.retrieval.word_rarity import count_words, select_common_words

PEER, INSTALL = "bm25s", "pip install bm25s"
QUICK = ("7B1", "8B1")
_DEPTH = 100
_THREADS = 2  # nothing else runs

_CHECKOUT = Path(__file__).parents[2]
_RUN = _CHECKOUT / "runs" / "quickstart"
_SEARCHES, _QUICK_SEARCHES = 300, 60
_SEARCH_THREADS = (1, 8)
_RATE_GOALS: Mapping[RetrievalMode, float] = {
    "text": 250.0,
    "hybrid": 120.0,
}  # searches a second, 8 threads on two cores

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
    yield from _measure_rates(_QUICK_SEARCHES if quick else _SEARCHES)


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


def _measure_rates(count: int) -> Iterator[Measurement]:
    """Searches a second over the index of a finished run, ours and LanceDB's in turn."""
    directory = RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_RUN)).stage("index")
    if directory.manifest() is None:
        yield skip_measurement(
            "searches/s beside LanceDB alone", "LanceDB", "make demo, or MEDR_BENCH_RUN"
        )
        return
    table = index.open_table(directory)
    queries = _list_titles(table, count)
    retrieval = RetrievalConfig()
    encoder = QueryEncoder(ModelsConfig().encoder)
    vectors = {query: encoder.encode([spell_greek_letters(query)])[0] for query in queries}
    for mode, goal in _RATE_GOALS.items():
        retriever = Retriever.open(directory, retrieval, ModelsConfig())
        bare = _LanceSearch(table, retriever, retrieval.candidates, vectors, mode == "hybrid")
        differing = _count_differing(queries, retriever, bare, mode)
        for threads in _SEARCH_THREADS:
            ours_seconds = np.zeros(2)
            bare_seconds = np.zeros(2)
            for part, turn in enumerate((queries[::2], queries[1::2])):
                # Queries that are not remembered; the documents they find may be.
                spaced = [query + " " * (threads + part) for query in turn]
                ours = functools.partial(retriever.search, mode=mode)
                ours_seconds += _time_threads(ours, spaced, threads)
                bare_seconds += _time_threads(bare.search, turn, threads)
            rates = [len(queries) / float(seconds[0]) for seconds in (ours_seconds, bare_seconds)]
            cpu_ms = [1000 * seconds[1] / len(queries) for seconds in (ours_seconds, bare_seconds)]
            yield build_measurement(
                f"{mode} searches/s, {threads} threads",
                rates[0],
                rates[1],
                "LanceDB alone",
                goal=goal if threads == max(_SEARCH_THREADS) else None,
                unit="1/s",
                note=f"{len(queries)} titles, {table.count_rows():,} documents; in {differing} of "
                f"them LanceDB finds what ours does not; CPU of a search {cpu_ms[0]:.1f} ms, "
                f"LanceDB's {cpu_ms[1]:.1f}; load {os.getloadavg()[0]:.1f}",
            )


@dataclass(frozen=True)
class _LanceSearch:
    """The searches of a query as LanceDB answers them, without anything of ours."""

    table: Any
    retriever: Retriever
    limit: int
    vectors: Mapping[str, np.ndarray]
    is_hybrid: bool

    def search(self, query: str) -> list[dict[str, Any]]:
        from lancedb.query import MatchQuery

        words = " ".join(self.retriever._finder.list_search_words(query))
        match = MatchQuery(words, "text")  # type: ignore[call-arg]
        columns = list(index.COLUMNS)
        rows: list[dict[str, Any]] = (
            self.table.search(match, query_type="fts")
            .select([*columns, "_score"])
            .limit(self.limit)
            .to_list()
        )
        if self.is_hybrid:
            nearest = self.table.search(self.vectors[query], vector_column_name="vector")
            nearest = nearest.distance_type("cosine").select([*columns, "_distance"])
            rows += nearest.limit(self.limit).to_list()
        return rows


def _count_differing(
    queries: Sequence[str], retriever: Retriever, bare: _LanceSearch, mode: RetrievalMode
) -> int:
    """How many queries LanceDB finds a document for that is none of our candidates, though its
    score is better than that of the last place."""
    differing = 0
    for query in queries:
        hits = retriever.search(query, 4 * bare.limit, mode=mode)
        candidates = {hit.document_id for hit in hits}
        missing = False
        rows = bare.search(query)
        for score in ("_score", "_distance"):
            scored = [row for row in rows if score in row]
            missing |= any(
                row["document_id"] not in candidates and row[score] != scored[-1][score]
                for row in scored
            )
        differing += missing
    return differing


def _time_threads(
    search: Callable[[str], object], queries: Sequence[str], threads: int
) -> tuple[float, float]:
    """The seconds that the threads take for all queries, and the CPU seconds."""
    with ThreadPoolExecutor(threads) as pool:
        cpu_before = time.process_time()
        started = time.perf_counter()
        list(pool.map(search, queries))
        return time.perf_counter() - started, time.process_time() - cpu_before


def _list_titles(table: Any, count: int) -> list[str]:
    """Titles of documents over the whole index, as queries."""
    rows = table.search().select(["title"]).limit(table.count_rows()).to_arrow()
    titles = sorted(set(rows["title"].to_pylist()))
    return titles[:: len(titles) // count][:count]
