"""A real LanceDB index over a few documents."""

from pathlib import Path

from medr_ray.core.config import IndexConfig
from medr_ray.core.run import Directory
from medr_ray.retrieval import index
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.word_rarity import count_words, select_common_words

KRABBE = Document(
    "HPO:OMIM:245200",
    "hpo",
    "Krabbe disease",
    "Krabbe disease\n"
    "Inheritance: Autosomal recessive inheritance; HPO: HP:0000007\n"
    "Gene: GALC; NCBI Gene ID: 2581",
    None,
    (),
    False,
    "",
)


def build_index(folder: Path, documents: list[Document]) -> Directory:
    directory = Directory(str(folder))
    rows = index.build_table(
        directory, [index.build_batch(documents, None, 384)], IndexConfig(), 384
    )
    directory.write_table(index.COMMON_WORDS, select_common_words([count_words(documents)], rows))
    return directory
