"""The replica of the retriever: searches at the same time, and ready when it can search."""

import asyncio
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from medr_ray.core.config import IndexConfig, ModelsConfig, RetrievalConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.run import Directory
from medr_ray.retrieval import index
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.retriever import Retriever
from medr_ray.retrieval.word_rarity import count_words, select_common_words
from medr_ray.serving.http.schemas import SearchRequest
from medr_ray.serving.retriever import SearchReplica

TITLES = [f"Surgery of organ {number}" for number in range(50)]
DOCUMENTS = [
    Document(f"PMID:{number}", "pubmed", title, f"{title}\nIt works.", 2000, (), False, "J")
    for number, title in enumerate(TITLES)
]


def build_index(folder: Path, vectors: np.ndarray | None) -> Directory:
    directory = Directory(str(folder))
    rows = index.build_table(
        directory, [index.build_batch(DOCUMENTS, vectors, 384)], IndexConfig(), 384
    )
    directory.write_table(index.COMMON_WORDS, select_common_words([count_words(DOCUMENTS)], rows))
    return directory


def test_searches_at_the_same_time_have_the_hits_of_the_retriever(tmp_path: Path) -> None:
    directory = build_index(tmp_path, None)
    replica = SearchReplica(directory, RetrievalConfig(), ModelsConfig())

    async def search_all() -> list[list[dict[str, object]]]:
        requests = [SearchRequest(query=title, results=3) for title in TITLES]
        return list(await asyncio.gather(*map(replica.search, requests)))

    retriever = Retriever.open(directory, RetrievalConfig(), ModelsConfig())
    expected = [[asdict(hit) for hit in retriever.search(title, 3)] for title in TITLES]
    assert asyncio.run(search_all()) == expected


@pytest.mark.slow
def test_the_encoder_is_there_when_the_replica_is(tmp_path: Path) -> None:
    from medr_ray.engines.encoder import Encoder

    models = ModelsConfig()
    try:
        vectors = Encoder(models.encoder).encode(TITLES)
    except MedrError as error:
        pytest.skip(str(error))
    replica = SearchReplica(build_index(tmp_path, vectors), RetrievalConfig(), models)
    assert "_query_encoder" in vars(replica._retriever)


def test_searches_by_words_need_no_encoder_and_others_do(tmp_path: Path) -> None:
    directory = build_index(tmp_path, np.eye(50, 384, dtype=np.float32))
    models = ModelsConfig(encoder=str(tmp_path / "nothing"))
    replica = SearchReplica(directory, RetrievalConfig(mode="text"), models)
    assert asyncio.run(replica.search(SearchRequest(query="organ")))
    with pytest.raises(MedrError, match="nothing"):
        asyncio.run(replica.search(SearchRequest(query="organ", mode="hybrid")))
    with pytest.raises(MedrError, match="nothing"):
        SearchReplica(directory, RetrievalConfig(mode="hybrid"), models)
