"""A table that is brought up to date finds what one made from nothing finds."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from medr_ray.core.config import IndexConfig, ModelsConfig, RetrievalConfig
from medr_ray.core.run import Directory
from medr_ray.retrieval import index
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.index_update import refresh_table
from medr_ray.retrieval.retriever import Retriever
from medr_ray.retrieval.word_rarity import count_words, select_common_words

WORDS = (
    "aorta",
    "surgery",
    "trial",
    "child",
    "fever",
    "gene",
    "losartan",
    "seizure",
    "liver",
    "cohort",
    "dose",
)
QUERIES = ("aorta surgery", "losartan trial child", "liver", "fever seizure gene dose", "cohort")


class Corpus:
    """Parts of made-up papers by mark, as the stage hands them over."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Document]] = {}
        self.is_embedded = True

    def put_part(self, name: str, ids: range, edition: int = 0) -> None:
        for mark in [mark for mark in self.parts if mark.startswith(f"{name}@")]:
            del self.parts[mark]
        if ids:
            self.parts[f"{name}@{edition}"] = [make_paper(number, edition) for number in ids]

    def read_part(self, mark: str) -> pa.Table:
        documents = self.parts[mark]
        vectors = (
            np.stack([make_vector(document) for document in documents])
            if self.is_embedded
            else None
        )
        return index.build_batch(documents, vectors, 8, mark)

    def refresh(self, directory: Directory, config: IndexConfig | None = None) -> int:
        written = refresh_table(
            directory, list(self.parts), self.read_part, config or IndexConfig(), 8
        )
        documents = [document for part in self.parts.values() for document in part]
        directory.write_table(
            index.COMMON_WORDS, select_common_words([count_words(documents)], len(documents))
        )
        return written


def make_paper(number: int, edition: int) -> Document:
    rng = random.Random(f"{number}-{edition if number % 10 == 0 else 0}")  # one in ten is revised
    text = " ".join(rng.choices(WORDS, k=rng.randint(4, 30)))
    return Document(f"PMID:{number}", "pubmed", text[:20], text, 2000, (), False, "J")


def make_vector(document: Document) -> np.ndarray:
    numbers = np.random.default_rng(list(document.text.encode())).normal(size=8).astype(np.float32)
    return numbers / np.linalg.norm(numbers)


def search_all(directory: Directory) -> list[object]:
    retriever = Retriever.open(
        directory, RetrievalConfig(mode="text", candidates=40), ModelsConfig()
    )
    return [hit for query in QUERIES for hit in retriever.medical_search(query, results=40)]


@pytest.fixture
def corpus() -> Corpus:
    corpus_parts = Corpus()
    for number in range(10):
        corpus_parts.put_part(f"file-{number}", range(100 * number, 100 * number + 100))
    return corpus_parts


def test_changed_added_and_removed_parts_are_merged_in(corpus: Corpus, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path / "refreshed"))
    assert corpus.refresh(directory) == 10
    corpus.put_part("file-3", range(300, 390), edition=1)  # ten of it are gone, nine are revised
    corpus.put_part("file-7", range(0))
    corpus.put_part("file-10", range(1000, 1060))
    assert corpus.refresh(directory) == 2
    corpus.refresh(Directory(str(tmp_path / "anew")))
    assert search_all(directory) == search_all(Directory(str(tmp_path / "anew")))
    table = index.open_table(directory)
    assert table.count_rows() == 950
    assert sorted(row["document_id"] for row in table.search().limit(2000).to_list()) == sorted(
        document.document_id for part in corpus.parts.values() for document in part
    )


def test_a_paper_that_moved_to_another_part_is_there_once(corpus: Corpus, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    corpus.refresh(directory)
    corpus.put_part("file-0", range(0, 99), edition=1)
    corpus.put_part("file-1", range(99, 200), edition=1)
    corpus.refresh(directory)
    rows = index.open_table(directory).search().where("document_id = 'PMID:99'").to_list()
    assert [row["part"] for row in rows] == ["file-1@1"]


def test_nothing_is_written_when_nothing_changed(corpus: Corpus, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    corpus.refresh(directory)
    version = index.open_table(directory).version
    assert corpus.refresh(directory) == 0
    assert index.open_table(directory).version == version


@pytest.mark.parametrize("is_embedded", [True, False])
def test_what_a_kill_left_behind_is_finished(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_embedded: bool
) -> None:
    corpus.is_embedded = is_embedded
    directory = Directory(str(tmp_path / "refreshed"))
    corpus.refresh(directory)
    corpus.put_part("file-3", range(300, 390), edition=1)

    def raise_interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(index, "build_indices", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            corpus.refresh(directory)
    assert (
        corpus.refresh(directory) == 0
    )  # the rows were in already, the full-text index was behind
    corpus.refresh(Directory(str(tmp_path / "anew")))
    assert search_all(directory) == search_all(Directory(str(tmp_path / "anew")))


def test_other_settings_of_the_full_text_index_make_it_anew(corpus: Corpus, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    corpus.put_part("file-0", range(0))
    corpus.parts["file-0@a"] = [
        Document("PMID:0", "pubmed", "", "it was then", 2000, (), False, "J")
    ]
    corpus.refresh(directory)
    assert not search_then(directory)
    corpus.refresh(directory, IndexConfig(remove_stop_words=False))
    assert search_then(directory) == ["PMID:0"]


def search_then(directory: Directory) -> list[str]:
    hits = Retriever.open(directory, RetrievalConfig(mode="text"), ModelsConfig()).search(
        "then", results=50
    )
    return [hit.document_id for hit in hits]


def test_an_index_by_uri_is_refreshed_and_searched(corpus: Corpus, tmp_path: Path) -> None:
    directory = Directory(f"file://{tmp_path}/index")
    corpus.refresh(directory)
    corpus.put_part("file-3", range(0))
    corpus.refresh(directory)
    assert index.open_table(directory).count_rows() == 900
    assert search_all(directory)


def test_the_index_says_what_cosine_unrelated_texts_have(corpus: Corpus, tmp_path: Path) -> None:
    corpus.refresh(Directory(str(tmp_path)))
    index_settings = index.read_index_settings(Directory(str(tmp_path)))
    assert index_settings is not None
    assert index_settings.unrelated_cosine == pytest.approx(0.0, abs=0.02)


def test_the_mean_cosine_is_that_of_all_pairs() -> None:
    vectors = np.random.default_rng(0).normal(0.5, 1, (20, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [a @ b for i, a in enumerate(vectors) for b in vectors[:i]]
    assert index.compute_mean_cosine(vectors) == pytest.approx(np.mean(pairs))
