"""The fields of a PubMed citation that are read, in one table.

The table gives the path of each field (NLM PubMed DTD) and how it is stored. The compiled passes
take the tables built from it as arguments, so a change here does not change the compiled code.
"""

from typing import NamedTuple

import numpy as np

from medr_ray.core.compiled import Array


class CitationField(NamedTuple):
    """An element that is read.

    ``action`` says how it is stored (``column_copy.ACTIONS``). ``columns`` are the columns of its
    text and then of each of its ``attributes``. Where there is an ``inner`` element, its first
    entry names the child whose text counts, and the rest the attributes of that child.
    """

    action: str
    columns: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()


_ISSUE = "MedlineCitation/Article/Journal/JournalIssue"
_AUTHOR = "MedlineCitation/Article/AuthorList/Author"
_DATABANK = "MedlineCitation/Article/DataBankList/DataBank"
_GRANT = "MedlineCitation/Article/GrantList/Grant"

# By path below PubmedArticle. Of the fields that share a column, the first one with text counts.
# Those that count once in a record come first. The parts of an entry are its children.
# The year fields name the abstract's column because their text passes through its free memory.
CITATION_FIELDS: dict[str, CitationField] = {
    "MedlineCitation": CitationField("alone"),
    "MedlineCitation/Article": CitationField("alone"),
    "MedlineCitation/PMID": CitationField("key", ("pmid",), ("Version",)),
    "MedlineCitation/Article/ArticleTitle": CitationField("once", ("title",)),
    "MedlineCitation/Article/Journal/Title": CitationField("once", ("journal",)),
    "MedlineCitation/MedlineJournalInfo/MedlineTA": CitationField("once", ("journal",)),
    "MedlineCitation/Article/Journal/ISSN": CitationField("once", ("issn",)),
    "MedlineCitation/MedlineJournalInfo/ISSNLinking": CitationField("once", ("issn",)),
    f"{_ISSUE}/PubDate/Year": CitationField("year", ("abstract",)),
    f"{_ISSUE}/PubDate/MedlineDate": CitationField("year", ("abstract",)),
    "MedlineCitation/Article/ArticleDate/Year": CitationField("year", ("abstract",)),
    f"{_ISSUE}/Volume": CitationField("once", ("volume",)),
    "MedlineCitation/Article/Pagination/MedlinePgn": CitationField("once", ("pages",)),
    "MedlineCitation/Article/Language": CitationField("joined", ("language",)),
    "MedlineCitation/Article/ELocationID": CitationField(
        "identifier", ("doi",), ("EIdType", "ValidYN")
    ),
    "MedlineCitation/Article/Abstract/AbstractText": CitationField(
        "section",
        ("sections.text", "sections.label", "sections.category"),
        ("Label", "NlmCategory"),
    ),
    "MedlineCitation/Article/PublicationTypeList/PublicationType": CitationField(
        "type", ("publication_types.name", "publication_types.ui"), ("UI",)
    ),
    "MedlineCitation/MeshHeadingList/MeshHeading": CitationField(
        "heading", ("mesh.name", "mesh.ui"), inner=("DescriptorName", "UI")
    ),
    "MedlineCitation/SupplMeshList/SupplMeshName": CitationField(
        "item", ("supplementary.name", "supplementary.ui"), ("UI",)
    ),
    "MedlineCitation/ChemicalList/Chemical/NameOfSubstance": CitationField(
        "item", ("chemicals.name", "chemicals.ui"), ("UI",)
    ),
    "MedlineCitation/KeywordList/Keyword": CitationField("word", ("keywords",)),
    "MedlineCitation/CommentsCorrectionsList/CommentsCorrections": CitationField(
        "item", ("corrections.pmid", "corrections.kind"), ("RefType",), inner=("PMID",)
    ),
    _AUTHOR: CitationField("entry", ("authors.last_name",), ("ValidYN",)),
    f"{_AUTHOR}/LastName": CitationField("part", ("authors.last_name",)),
    f"{_AUTHOR}/ForeName": CitationField("part", ("authors.fore_name",)),
    f"{_AUTHOR}/AffiliationInfo/Affiliation": CitationField("member", ("authors.affiliations",)),
    f"{_AUTHOR}/Identifier": CitationField("orcid", ("authors.orcid",), ("Source",)),
    f"{_AUTHOR}/Suffix": CitationField("part", ("authors.suffix",)),
    f"{_AUTHOR}/CollectiveName": CitationField("part", ("authors.collective_name",)),
    # Before 2015 an affiliation stood in the author, before 2014 in the article.
    f"{_AUTHOR}/Affiliation": CitationField("member", ("authors.affiliations",)),
    "MedlineCitation/Article/Affiliation": CitationField("advance", ("authors.affiliations",)),
    _DATABANK: CitationField("entry", ("databank_numbers.name",)),
    f"{_DATABANK}/DataBankName": CitationField("part", ("databank_numbers.name",)),
    f"{_DATABANK}/AccessionNumberList/AccessionNumber": CitationField(
        "member", ("databank_numbers.numbers",)
    ),
    _GRANT: CitationField("entry", ("grants.grant_id",)),
    f"{_GRANT}/GrantID": CitationField("part", ("grants.grant_id",)),
    f"{_GRANT}/Agency": CitationField("part", ("grants.agency",)),
    f"{_GRANT}/Country": CitationField("part", ("grants.country",)),
    "PubmedData/ArticleIdList/ArticleId": CitationField("identifier", ("doi",), ("IdType",)),
    # Where the plain reader finds a title, pages or an abstract that are missing.
    "MedlineCitation/Article/VernacularTitle": CitationField("substitute", ("title",)),
    "MedlineCitation/Article/Pagination/StartPage": CitationField("substitute", ("pages",)),
    "MedlineCitation/OtherAbstract": CitationField("substitute", ("abstract",)),
}

# A record of a file: its kind (see ``scan``), its row among citations and books (-1 for a
# deletion), the bytes it lies between, the row of its first field, whether the pass has read it.
RECORD = np.dtype(
    [
        ("kind", np.int32),
        ("row", np.int32),
        ("begin", np.int32),
        ("end", np.int32),
        ("first_field", np.int32),
        ("is_read", np.int32),
    ]
)

# A field of a record: its number in CITATION_FIELDS, the bytes that two attributes (begin -1 where
# absent) and the text lie between, and whether a heading is marked as a major topic.
FIELD = np.dtype(
    [
        ("number", np.int32),
        ("first_begin", np.int32),
        ("first_end", np.int32),
        ("second_begin", np.int32),
        ("second_end", np.int32),
        ("text_begin", np.int32),
        ("text_end", np.int32),
        ("is_major", np.int32),
    ]
)

# States of the walk through a record; the paths that are read follow.
STATE_IGNORED = 0  # inside an element that is not read
STATE_ROOT = 1  # outside the record

# Entries of Grammar.meaning that are not the number of a field.
NO_FIELD = -1
INNER_FIELD = -2  # the inner child of the field around it

# Classes of ASCII characters, as bits; NLM uses no other letters in names.
NAME_START = 1
NAME_PART = 2
WHITE_SPACE = 4

# Children that one element can have in the table; Article has the most.
_MAX_CHILDREN = 13


class Grammar(NamedTuple):
    """The paths of ``CITATION_FIELDS`` as states of a walk.

    ``edges[state]`` are pairs (name, state inside the child of that name), up to a name of -1.
    ``meaning[state]`` is (number of the field, ``NO_FIELD`` or ``INNER_FIELD``; the names of two
    attributes that are read, or -1; 1 where children may be marked as major topics). Names are
    rows of bytes with their lengths.
    """

    edges: Array  # int64[states, _MAX_CHILDREN, 2]
    meaning: Array  # int64[states, 4]
    names: Array  # uint8[names, longest]
    sizes: Array  # int64[names]


class _Element(NamedTuple):
    """An element that is read: its number (or ``INNER_FIELD``) and which attributes count."""

    number: int
    has_marked_children: bool
    attributes: tuple[str, ...]


_UNREAD = _Element(NO_FIELD, False, ())


def build_name_table(names: list[str]) -> tuple[Array, Array]:
    """Names as rows of bytes (uint8[names, longest]), and their lengths."""
    sizes = np.array([len(name) for name in names])
    table = np.zeros((len(names), sizes.max()), np.uint8)
    for row, name in zip(table, names, strict=True):
        row[: len(name)] = list(name.encode())
    return table, sizes


def build_grammar() -> Grammar:
    """The tables of ``CITATION_FIELDS``."""
    elements = _list_elements()
    paths = _list_paths(elements)
    names = _list_names(paths, elements)
    edges = np.full((len(paths) + 1, _MAX_CHILDREN, 2), -1)
    meaning = np.full((len(paths) + 1, 4), -1)
    for state, path in enumerate(paths, STATE_ROOT):
        children = [child for child in paths if child and child.rpartition("/")[0] == path]
        for place, child in enumerate(children):
            name = child.rpartition("/")[2]
            edges[state, place] = names.index(name), paths.index(child) + STATE_ROOT
        element = elements.get(path, _UNREAD)
        meaning[state, 0] = element.number
        attributes = [names.index(attribute) for attribute in element.attributes]
        meaning[state, 1 : 1 + len(attributes)] = attributes
        meaning[state, 3] = element.has_marked_children
    return Grammar(edges, meaning, *build_name_table(names))


def _list_elements() -> dict[str, _Element]:
    """Each element that is read, by its path."""
    elements = {}
    for number, (path, field) in enumerate(CITATION_FIELDS.items()):
        is_heading = field.action == "heading"
        elements[f"PubmedArticle/{path}"] = _Element(number, is_heading, field.attributes)
        if field.inner:
            child, *attributes = field.inner
            inner = _Element(INNER_FIELD, False, tuple(attributes))
            elements[f"PubmedArticle/{path}/{child}"] = inner
    return elements


def _list_paths(elements: dict[str, _Element]) -> list[str]:
    """The paths of the elements and of all that they lie in, each once; the root's is empty."""
    paths = {"": None, "PubmedArticle": None}
    for path in elements:
        steps = path.split("/")
        for depth in range(1, len(steps) + 1):
            paths["/".join(steps[:depth])] = None
    return list(paths)


def _list_names(paths: list[str], elements: dict[str, _Element]) -> list[str]:
    """The names of all elements on the paths and of the attributes that are read, sorted."""
    names: set[str] = set()
    for path in paths:
        names.update(path.split("/"))
    for element in elements.values():
        names.update(element.attributes)
    return sorted(names)


def classify_bytes() -> Array:
    """uint8[256]: what each byte can be in a name or between attributes."""
    table = np.zeros(256, np.uint8)
    letters = [*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1), ord("_")]
    table[letters] = NAME_START | NAME_PART
    table[list(b"0123456789.-")] = NAME_PART
    table[list(b" \t\r\n")] = WHITE_SPACE
    return table
