"""What is searched: citations with an abstract, disease records, drug labels and approvals, trials,
monographs.

A document's ``text`` is what evidence offsets count in. Citations hold their title and abstract in
it, on lines of their own; a disease record holds one sentence a line, each stating one annotation
in the wording of ``knowledge.predicates``; what has sections holds one a line, headed by its name
("Boxed warning: ..."). So the text alone says everything a reader, a searcher or an extractor
needs.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.core.records import Citation
from medr_ray.retrieval.snippets import Span, sentence_spans

PUBMED, HPO = "pubmed", "hpo"
FDA_LABELS, FDA_APPROVALS, TRIALS, LIVERTOX = "fda_labels", "fda_approvals", "trials", "livertox"
SOURCES = (PUBMED, HPO, FDA_LABELS, FDA_APPROVALS, TRIALS, LIVERTOX)
_LINE_SOURCES = frozenset({HPO})
_KEY_WORD = re.compile(r"\w+")
_PAGES = {  # where a document can be read, by what its id begins with
    "PMID": "https://pubmed.ncbi.nlm.nih.gov/{}/",
    "HPO": "https://hpo.jax.org/browse/disease/{}",
    "FDA-LABEL": "https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid={}",
    "FDA": "https://www.accessdata.fda.gov/scripts/cder/daf/index.cfm?event=overview.process&ApplNo={}",
    "NCT": "https://clinicaltrials.gov/study/{}",
    "LIVERTOX": "https://www.ncbi.nlm.nih.gov/books/NBK547852/",  # the book: its monographs are named, not numbered
}


@dataclass(frozen=True)
class Document:
    """``document_id`` is ``PMID:<pmid>``, ``HPO:<disease entity id>``, ``FDA-LABEL:<set id>``,
    ``FDA:<application number>``, ``NCT:<nct id>`` or ``LIVERTOX:<name>``; ``publication_types`` are
    MeSH UIs.

    ``evidence`` is the kind of evidence (see ``retrieval.authority``) as the source states it, ""
    where the publication types decide; ``references`` are the ids of what the document cites, as
    far as it says so by id.
    """

    document_id: str
    source: str
    title: str
    text: str
    year: int | None
    publication_types: tuple[str, ...]
    retracted: bool
    journal: str
    issn: str = ""
    evidence: str = ""
    references: tuple[str, ...] = ()

    @functools.cached_property
    def spans(self) -> list[Span]:
        """[start, end) of each sentence of the text."""
        return sentence_spans(self.text, lines_only=self.source in _LINE_SOURCES)

    @functools.cached_property
    def sentences(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]

    @property
    def url(self) -> str:
        """A page that shows the document, "" where none is known."""
        return page_of(self.document_id)


def page_of(document_id: str) -> str:
    """The address of a document's page at its publisher, "" for an id of another kind."""
    kind, _, name = document_id.partition(":")
    return _PAGES.get(kind, "").format(
        name.lstrip("ABDLN") if kind == "FDA" else name
    )  # ANDA, BLA, NDA


def from_citation(citation: Citation) -> Document:
    """The document of a citation; its abstract may not be empty."""
    return Document(
        f"PMID:{citation.pmid}",
        PUBMED,
        citation.title,
        f"{citation.title}\n{citation.abstract}",
        citation.year,
        tuple(one.ui for one in citation.publication_types),
        citation.retracted,
        citation.journal,
        citation.issn,
    )


def title_key(text: str) -> str:
    """Words of a title, lower-cased and joined by single spaces: what "the whole title" is compared
    by."""
    return " ".join(title_words(text))


def title_words(text: str) -> list[str]:
    return _KEY_WORD.findall(text.casefold())


def with_abstract(citations: Iterable[Citation]) -> list[Document]:
    """Documents of the citations that have an abstract."""
    return [from_citation(one) for one in citations if one.abstract.strip()]
