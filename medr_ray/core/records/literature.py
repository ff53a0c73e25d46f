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
class Citation:
    """One PubMed citation (NLM PubMed DTD). ``year`` is that of publication; ``position`` counts
    from 0 in the file."""

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
    source_file: str
    position: int
