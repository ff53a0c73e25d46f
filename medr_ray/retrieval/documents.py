"""The documents that a search can return.

They are citations with an abstract, disease records, drug labels, drug approvals, trials,
monographs, and records of registries. The ``text`` of a document contains all that a reader, the
search or an extractor needs, and the offsets of evidence count its characters:

- The text of a citation is its title and its abstract, one line each.
- The text of a disease record is its name and one annotation a line, in the fields of the registry
  (see ``disease_records``).
- The text of a record of a registry is its title and one fact a line (see ``registry_records``).
- The text of any other document has one section a line, which begins with the section's name
  ("Boxed warning: ...").
"""

import functools
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.core.records import Citation, FactSource
from medr_ray.knowledge.name_normalization import fold_characters, fold_word
from medr_ray.retrieval.snippets import (
    Span,
    sentence_spans,
    split_words,
    split_words_of_each,
)

PUBMED = "pubmed"
HPO = "hpo"
FDA_LABELS = "fda_labels"
FDA_APPROVALS = "fda_approvals"
TRIALS = "trials"
LIVERTOX = "livertox"
REGISTRIES = "registries"
SOURCES = (PUBMED, HPO, FDA_LABELS, FDA_APPROVALS, TRIALS, LIVERTOX, REGISTRIES)
# How the ids of the documents of a registry begin; the number of the record follows.
REGISTRY_PREFIXES: dict[FactSource, str] = {
    "hpo": "HPO",
    "orphanet": "ORPHANET",
    "drugs_at_fda": "FDA",
    "orange_book": "ORANGE-BOOK",
    "drug_labels": "FDA-LABEL",
    "clinical_trials": "NCT",
    "livertox": "LIVERTOX",
    "pubmed": "PMID",
}

# In texts of these sources every line is a fact under the name of a field, and is shown as a whole
# even if it contains a full stop.
RECORD_SOURCES = frozenset({HPO, REGISTRIES})
# ``\w`` matches letters of any script, because a title may be in any language. The words that
# ``snippets`` ranks by are ASCII only.
_TITLE_WORD = re.compile(r"\w+")
# Of documents whose year is that of publication; every other is a record that is kept up to date.
_PAPER_PREFIX = "PMID:"

_FDA_PAGE = "https://www.accessdata.fda.gov/scripts/cder/daf/index.cfm"
# The page of a document, by the prefix of its id. The rest of the id goes into the braces.
_URL_TEMPLATES = {
    "PMID": "https://pubmed.ncbi.nlm.nih.gov/{}/",
    "HPO": "https://hpo.jax.org/browse/disease/{}",
    "FDA-LABEL": "https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid={}",
    "FDA": f"{_FDA_PAGE}?event=overview.process&ApplNo={{}}",
    "NCT": "https://clinicaltrials.gov/study/{}",
    "ORANGE-BOOK": f"{_FDA_PAGE}?event=overview.process&ApplNo={{}}",
    "ORPHANET": "https://www.orpha.net/en/disease/detail/{}",
    # The page of the whole book: ids have the name of a monograph, its page has a number.
    "LIVERTOX": "https://www.ncbi.nlm.nih.gov/books/NBK547852/",
    # A page that was read: the rest of its id is its address.
    "WEB": "{}",
}


@dataclass(frozen=True)
class Document:
    """A document that a search can return.

    ``document_id`` is ``PMID:<pmid>``, ``HPO:<disease entity id>``, ``FDA-LABEL:<set id>``,
    ``FDA:<application number>``, ``NCT:<nct id>`` or ``LIVERTOX:<name>``, and for a record of the
    snapshot what ``REGISTRY_PREFIXES`` says. ``publication_types`` are MeSH UIs. ``evidence`` is
    the kind of evidence (see ``retrieval.authority``) as the source states it, "" where the
    publication types decide. ``references`` are the ids of the documents that it cites by id.
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
        """The characters [start, end) of each sentence of the text."""
        return sentence_spans(self.text, lines_only=self.source in RECORD_SOURCES)

    @functools.cached_property
    def sentences(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]

    @functools.cached_property
    def words_of_sentences(self) -> list[list[str]]:
        """The words of each sentence that a query is compared with."""
        return split_words_of_each(self.sentences)

    @functools.cached_property
    def words_of_title(self) -> list[str]:
        """The words of the title that a query is compared with."""
        return split_words(self.title)

    @functools.cached_property
    def words_of_number(self) -> list[str]:
        """The words of the number that a query is compared with."""
        return split_words(self.number)

    @functools.cached_property
    def title_key(self) -> str:
        """The key by which its title is compared with others."""
        return title_key(self.title)

    @property
    def number(self) -> str:
        """The number that its source gives it, which every result shows."""
        return self.document_id.partition(":")[2]

    @property
    def date_text(self) -> str:
        """See ``describe_year``."""
        return describe_year(self.document_id, self.year)

    @property
    def url(self) -> str:
        """The address of a page that shows the document; "" where none is known."""
        return document_url(self.document_id)


def describe_year(document_id: str, year: int | None) -> str:
    """The year as it is shown beside the id: "2019" for that of publication, "as of 2026" for that
    of a record's edition, "" where none is known."""
    if year is None:
        return ""
    # A paper stays as it was published. The year of a trial's record is not that of the trial.
    return str(year) if document_id.startswith(_PAPER_PREFIX) else f"as of {year}"


def document_url(document_id: str) -> str:
    """The address of a document's page at its publisher; "" for an id with an unknown prefix."""
    id_prefix, _, id_value = document_id.partition(":")
    if id_prefix == "ORPHANET":
        id_value = id_value.removeprefix("ORPHA:")
    if id_prefix in ("FDA", "ORANGE-BOOK"):
        # The page takes the application's number without NDA, ANDA or BLA in front. ``lstrip``
        # takes a set of letters: these are the letters of the three words.
        id_value = id_value.lstrip("ABDLN")
    return _URL_TEMPLATES.get(id_prefix, "").format(id_value)


def document_from_citation(citation: Citation) -> Document:
    """The document of a citation, which must have an abstract (``documents_with_abstract``)."""
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
    """The documents of those citations that have an abstract; others are left out."""
    return [document_from_citation(citation) for citation in citations if citation.abstract.strip()]


def title_key(text: str) -> str:
    """The key by which titles are compared: their folded words, joined by single spaces."""
    return " ".join(title_words(text))


def title_words(text: str) -> list[str]:
    """The words of a title or query, folded as names are (see ``name_normalization``)."""
    words = map(fold_word, _TITLE_WORD.findall(fold_characters(text)))
    return list(itertools.chain.from_iterable(words))
