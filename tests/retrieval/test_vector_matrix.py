"""Vectors in memory are searched as the table is."""

import dataclasses

import numpy as np
import pytest

from medr_ray.core.config import IndexConfig
from medr_ray.core.run import Directory
from medr_ray.retrieval import hit_candidates, index
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.filters import DocumentFilter
from medr_ray.retrieval.hit_candidates import CandidateFinder
from medr_ray.retrieval.ranking import Candidate
from medr_ray.retrieval.vector_matrix import VectorMatrix
from medr_ray.retrieval.word_rarity import WordRarity

SIZE = 8
LIMIT = 10


def make_unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, SIZE)).astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    """400 documents, of which 300 have vectors, among them 40 times the same one."""
    documents = [
        Document(f"PMID:{number}", "pubmed", f"T{number}", "", 1990 + number % 30, (), False, "J")
        for number in range(400)
    ]
    documents = [dataclasses.replace(document, text=document.title) for document in documents]
    vectors = make_unit_vectors(300)
    vectors[100:140] = vectors[100]
    order = np.random.default_rng(1).permutation(300)  # equal ones lie apart
    directory = Directory(str(tmp_path_factory.mktemp("index")))
    batches = [
        index.build_batch(documents[:300], vectors[order], SIZE),
        index.build_batch(documents[300:], None, SIZE),
    ]
    index.build_table(directory, batches, IndexConfig(), SIZE)
    return directory


def find_all(directory: Directory, queries: np.ndarray, since: int | None) -> list[list[Candidate]]:
    """The candidates of each query by vectors alone."""
    texts = [f"query{number}" for number in range(len(queries))]
    finder = CandidateFinder(
        index.open_table(directory),
        WordRarity(400, {}),
        LIMIT,
        lambda asked: queries[[texts.index(text) for text in asked]],
    )
    document_filter = DocumentFilter.normalized(since=since)
    return [finder.find_candidates(text, document_filter, "vector") for text in texts]


@pytest.mark.parametrize("since", [None, 2010, 2100])
def test_memory_finds_what_the_table_finds(
    directory: Directory, since: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last two have all places tied, and none of them, with the vectors that are there 40 times.
    same = make_unit_vectors(300)[100]
    queries = np.concatenate([make_unit_vectors(30, seed=2), [same, -same]])
    in_memory = find_all(directory, queries, since)
    monkeypatch.setattr(hit_candidates.VectorMatrix, "load", lambda table, count: None)
    in_table = find_all(directory, queries, since)
    assert [[hit.document for hit in hits] for hits in in_memory] == [
        [hit.document for hit in hits] for hits in in_table
    ]
    for hits, others in zip(in_memory, in_table, strict=True):
        assert [hit.cosine for hit in hits] == pytest.approx([hit.cosine for hit in others])
    assert all(len(hits) == (0 if since == 2100 else LIMIT) for hits in in_memory)


def test_of_equal_vectors_those_with_the_first_ids_are_taken(directory: Directory) -> None:
    same = make_unit_vectors(300)[100]
    (hits,) = find_all(directory, same[np.newaxis], None)
    table = index.open_table(directory).to_arrow().to_pylist()
    equal = sorted(
        row["document_id"]
        for row in table
        if row["vector"] is not None and np.array_equal(np.float32(row["vector"]), same)
    )
    assert len(equal) == 40
    assert [hit.document.document_id for hit in hits] == equal[:LIMIT]


def test_vectors_that_do_not_fit_stay_in_the_table(directory: Directory) -> None:
    table = index.open_table(directory)
    assert VectorMatrix.load(table, 300, most_bytes=300 * SIZE * 4 - 1) is None
    assert VectorMatrix.load(table, 300, most_bytes=300 * SIZE * 4) is not None
