"""What is searched: citations with an abstract, disease records, drug labels and approvals, trials,
monographs.

Evidence offsets count in a document's ``text``. A citation has its title and its abstract in it, on
lines of their own. A disease record has one sentence a line, each of which states one annotation in
the wording of ``knowledge.predicates``. What has sections has one a line, headed by its name
("Boxed warning: ..."). So a reader, a searcher or an extractor needs nothing but the text.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.core.records import Citation
from medr_ray.retrieval.snippets import Span, sentence_spans

PUBMED = "pubmed"
HPO = "hpo"
FDA_LABELS = "fda_labels"
FDA_APPROVALS = "fda_approvals"
TRIALS = "trials"
LIVERTOX = "livertox"
SOURCES = (PUBMED, HPO, FDA_LABELS, FDA_APPROVALS, TRIALS, LIVERTOX)

# Sources whose text has one sentence a line: it is split nowhere else.
_LINE_SOURCES = frozenset({HPO})
# ``\w`` is of any script, unlike the words that are ranked: titles need not be English.
_TITLE_WORD = re.compile(r"\w+")

_FDA_PAGE = "https://www.accessdata.fda.gov/scripts/cder/daf/index.cfm"
_PAGES = {  # where a document can be read, by the first part of its id
    "PMID": "https://pubmed.ncbi.nlm.nih.gov/{}/",
    "HPO": "https://hpo.jax.org/browse/disease/{}",
    "FDA-LABEL": "https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid={}",
    "FDA": f"{_FDA_PAGE}?event=overview.process&ApplNo={{}}",
    "NCT": "https://clinicaltrials.gov/study/{}",
    # The whole book: its monographs are identified here by name, and their pages by number.
    "LIVERTOX": "https://www.ncbi.nlm.nih.gov/books/NBK547852/",
}


@dataclass(frozen=True)
class Document:
    """One document.

    ``document_id`` is ``PMID:<pmid>``, ``HPO:<disease entity id>``, ``FDA-LABEL:<set id>``,
    ``FDA:<application number>``, ``NCT:<nct id>`` or ``LIVERTOX:<name>``. ``publication_types`` are
    MeSH UIs. ``evidence`` is the kind of evidence (see ``retrieval.authority``) as the source
    states it, "" where the publication types decide. ``references`` are the ids of the documents
    that it cites by id.
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
        return document_url(self.document_id)


def document_url(document_id: str) -> str:
    """The address of a document's page at its publisher, "" for an id of another kind."""
    kind, _, name = document_id.partition(":")
    if kind == "FDA":
        name = name.lstrip("ABDLN")  # the page takes the number without NDA, ANDA or BLA
    return _PAGES.get(kind, "").format(name)


def document_from_citation(citation: Citation) -> Document:
    """The document of a citation; its abstract may not be empty."""
    return Document(
        document_id=f"PMID:{citation.pmid}",
        source=PUBMED,
        title=citation.title,
        text=f"{citation.title}\n{citation.abstract}",
        year=citation.year,
        publication_types=tuple(term.ui for term in citation.publication_types),
        retracted=citation.retracted,
        journal=citation.journal,
        issn=citation.issn,
    )


def documents_with_abstract(citations: Iterable[Citation]) -> list[Document]:
    """Documents of the citations that have an abstract."""
    return [document_from_citation(citation) for citation in citations if citation.abstract.strip()]


def title_key(text: str) -> str:
    """Words of a title, lower-cased and joined by single spaces: the key that titles share."""
    return " ".join(title_words(text))


def title_words(text: str) -> list[str]:
    return _TITLE_WORD.findall(text.casefold())
