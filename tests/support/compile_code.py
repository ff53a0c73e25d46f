"""Compiles the numba functions of one room and keeps them on disk: ``compile_code.py corpus``.

Half a minute each. Without this every process of the tests that comes to them first compiles them
again, all at the same time.
"""

import io
import sys

from medr_ray.corpus.record_stream import read_citations
from medr_ray.entities.matching import Matcher
from medr_ray.knowledge.lexicon import Concept

_XML = b"""<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID Version="1">1</PMID><Article>
<ArticleTitle>Krabbe disease</ArticleTitle></Article></MedlineCitation></PubmedArticle>
</PubmedArticleSet>"""


def compile_corpus() -> None:
    assert sum(chunk.records for chunk in read_citations(io.BytesIO(_XML), "one record", None)) == 1


def compile_entities() -> None:
    concept = Concept("D:1", "Krabbe disease", "disease", ("krabbe disease",), "", ())
    matcher = Matcher.build([concept], 4)
    assert matcher.find_mentions("Krabbe disease (KD) was treated.")


if __name__ == "__main__":
    {"corpus": compile_corpus, "entities": compile_entities}[sys.argv[1]]()
