"""What is searched: a citation with an abstract, or the record of a disease in the HPO annotations.

A document's ``text`` is what evidence offsets count in. Citations hold their title and abstract in it, on lines of
their own; a disease record holds one sentence a line, each stating one annotation in the wording of
``knowledge.predicates``. So the text alone says everything a reader, a searcher or an extractor needs.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.core.records import Citation
from medr_ray.retrieval.snippets import Span, sentence_spans

PUBMED, HPO = "pubmed", "hpo"
_LINE_SOURCES = frozenset({HPO})
_KEY_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Document:
    """``document_id`` is ``PMID:<pmid>`` or ``HPO:<disease entity id>``; ``publication_types`` are MeSH UIs."""

    document_id: str
    source: str
    title: str
    text: str
    year: int | None
    publication_types: tuple[str, ...]
    retracted: bool
    journal: str

    @functools.cached_property
    def spans(self) -> list[Span]:
        """[start, end) of each sentence of the text."""
        return sentence_spans(self.text, lines_only=self.source in _LINE_SOURCES)

    @functools.cached_property
    def sentences(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]


def from_citation(citation: Citation) -> Document:
    """The document of a citation; its abstract may not be empty."""
    return Document(
        f"PMID:{citation.pmid}", PUBMED, citation.title, f"{citation.title}\n{citation.abstract}", citation.year,
        tuple(one.ui for one in citation.publication_types), citation.retracted, citation.journal)


def title_key(text: str) -> str:
    """Words of a title, lower-cased and joined by single spaces: what "the whole title" is compared by."""
    return " ".join(title_words(text))


def title_words(text: str) -> list[str]:
    return _KEY_WORD.findall(text.casefold())


def with_abstract(citations: Iterable[Citation]) -> list[Document]:
    """Documents of the citations that have an abstract."""
    return [from_citation(one) for one in citations if one.abstract.strip()]
