"""Citations of the literature and their parts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """One part of a structured abstract (``AbstractText``): its label as printed and its NLM
    category."""

    label: str
    category: str
    text: str


@dataclass(frozen=True)
class Term:
    """A controlled-vocabulary heading: its unique identifier (UI) and name."""

    ui: str
    name: str


@dataclass(frozen=True)
class MeshHeading:
    """A MeSH descriptor; ``major`` when it, or one of its qualifiers, is a major topic."""

    ui: str
    name: str
    major: bool


@dataclass(frozen=True)
class Correction:
    """A ``CommentsCorrections`` link: its RefType and the other citation's PMID ("" when not
    given)."""

    kind: str
    pmid: str


@dataclass(frozen=True)
class Author:
    """An author as printed: a person, or a group by its ``collective_name``.

    ``orcid`` is in the form "0000-0001-9940-6913", "" where none is given or it has not 16 places.
    ``affiliations`` are addresses in the author's own words; before 2014 only the first author has
    one.
    """

    last_name: str
    fore_name: str
    suffix: str
    collective_name: str
    orcid: str
    affiliations: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name as people write it: "Anna B Weber Jr"."""
        parts = (self.fore_name, self.last_name, self.suffix)
        return " ".join(filter(None, parts)) or self.collective_name


@dataclass(frozen=True)
class Databank:
    """A databank that an article names (``DataBank``), such as ClinicalTrials.gov or GENBANK, and
    its accession numbers there."""

    name: str
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Grant:
    """A grant that an article names: its number ("" when not given), agency and country."""

    grant_id: str
    agency: str
    country: str


@dataclass(frozen=True)
class Citation:
    """One PubMed citation (NLM PubMed DTD). ``year`` is that of publication, ``pages`` are as
    printed ("123-31"), ``pmcid`` is that of PubMed Central; ``position`` counts from 0 in the
    file."""

    pmid: str
    version: int
    title: str
    abstract: str
    sections: tuple[Section, ...]
    journal: str
    issn: str
    year: int | None
    language: str
    publication_types: tuple[Term, ...]
    mesh: tuple[MeshHeading, ...]
    supplementary: tuple[Term, ...]
    chemicals: tuple[Term, ...]
    keywords: tuple[str, ...]
    retracted: bool
    corrections: tuple[Correction, ...]
    authors: tuple[Author, ...]
    doi: str
    pmcid: str
    volume: str
    pages: str
    databank_numbers: tuple[Databank, ...]
    grants: tuple[Grant, ...]
    source_file: str
    position: int
