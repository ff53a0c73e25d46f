"""What is read of a PubMed citation, in one table: where each field stands (NLM PubMed DTD), and
what becomes of it.

The compiled passes are given these tables as arguments, so what is said here is not compiled into
them.
"""

from typing import NamedTuple

import numpy as np

from medr_ray.core.compiled import Array


class Field(NamedTuple):
    """An element that is read: what becomes of it (``columns.ACTIONS``), the columns that its text
    and its attributes go to, and those attributes. Where there is an ``inner`` child its text
    counts, and its attributes when named."""

    action: str
    columns: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()


FIELDS: dict[
    str, Field
] = {  # by path; of those that share a column the first one that has text counts
    "MedlineCitation": Field("alone"),
    "MedlineCitation/Article": Field("alone"),
    "MedlineCitation/PMID": Field("key", ("pmid",), ("Version",)),
    "MedlineCitation/Article/ArticleTitle": Field("once", ("title",)),
    "MedlineCitation/Article/Journal/Title": Field("once", ("journal",)),
    "MedlineCitation/MedlineJournalInfo/MedlineTA": Field("once", ("journal",)),
    "MedlineCitation/Article/Journal/ISSN": Field("once", ("issn",)),
    "MedlineCitation/MedlineJournalInfo/ISSNLinking": Field("once", ("issn",)),
    "MedlineCitation/Article/Journal/JournalIssue/PubDate/Year": Field("year", ("abstract",)),
    "MedlineCitation/Article/Journal/JournalIssue/PubDate/MedlineDate": Field(
        "year", ("abstract",)
    ),
    "MedlineCitation/Article/ArticleDate/Year": Field("year", ("abstract",)),
    "MedlineCitation/Article/Language": Field("joined", ("language",)),
    "MedlineCitation/Article/Abstract/AbstractText": Field(
        "section",
        ("sections.text", "sections.label", "sections.category"),
        ("Label", "NlmCategory"),
    ),
    "MedlineCitation/Article/PublicationTypeList/PublicationType": Field(
        "type", ("publication_types.name", "publication_types.ui"), ("UI",)
    ),
    "MedlineCitation/MeshHeadingList/MeshHeading": Field(
        "heading", ("mesh.name", "mesh.ui"), inner=("DescriptorName", "UI")
    ),
    "MedlineCitation/SupplMeshList/SupplMeshName": Field(
        "item", ("supplementary.name", "supplementary.ui"), ("UI",)
    ),
    "MedlineCitation/ChemicalList/Chemical/NameOfSubstance": Field(
        "item", ("chemicals.name", "chemicals.ui"), ("UI",)
    ),
    "MedlineCitation/KeywordList/Keyword": Field("word", ("keywords",)),
    "MedlineCitation/CommentsCorrectionsList/CommentsCorrections": Field(
        "item", ("corrections.pmid", "corrections.kind"), ("RefType",), inner=("PMID",)
    ),
}

# A record: its kind, row (-1 for a deletion), the bytes it lies between, where its fields begin,
# whether it was read.
RECORD = np.dtype([(name, np.int32) for name in ("kind", "row", "begin", "end", "fields", "read")])
# A field: its number, the places of two attributes (-1: absent) and of the text, a heading's mark
# as a major topic.
FIELD = np.dtype(
    [
        (name, np.int32)
        for name in (
            "number",
            "first",
            "first_end",
            "second",
            "second_end",
            "text",
            "text_end",
            "major",
        )
    ]
)

DEAD, ROOT = 0, 1  # states of the walk: where nothing is wanted; outside the record
NAME_START, NAME_PART, WHITE = (
    1,
    2,
    4,
)  # classes of ASCII characters; NLM uses no other letters in names


class Grammar(NamedTuple):
    """The paths as states of a walk.

    ``edges[state]`` are pairs (name, state inside that child) up to a name of -1.
    ``meaning[state]`` is (field, -2 inside its inner child, -1 elsewhere; two wanted attributes or
    -1; 1 where children may be marked as major). Names are rows of bytes with their lengths.
    """

    edges: Array  # int64[states, 10, 2]
    meaning: Array  # int64[states, 4]
    names: Array  # uint8[names, longest]
    sizes: Array  # int64[names]


def name_table(names: list[str]) -> tuple[Array, Array]:
    """Names as rows of bytes, and their lengths."""
    sizes = np.array([len(name) for name in names])
    table = np.zeros((len(names), sizes.max()), np.uint8)
    for row, name in zip(table, names, strict=True):
        row[: len(name)] = list(name.encode())
    return table, sizes


def _elements() -> dict[str, tuple[int, bool, tuple[str, ...]]]:
    """Path of each element that is read: (field or -2, whether children may be marked, wanted
    attributes)."""
    elements = {}
    for number, (path, field) in enumerate(FIELDS.items()):
        elements[f"PubmedArticle/{path}"] = (number, field.action == "heading", field.attributes)
        if field.inner:
            elements[f"PubmedArticle/{path}/{field.inner[0]}"] = (-2, False, field.inner[1:])
    return elements


def build() -> Grammar:
    """The tables of ``FIELDS``."""
    elements = _elements()
    paths = ["", "PubmedArticle"]
    for path in elements:
        steps = path.split("/")
        paths += [
            one for depth in range(len(steps)) if (one := "/".join(steps[: depth + 1])) not in paths
        ]
    wanted = {name for _, _, attributes in elements.values() for name in attributes}
    names = sorted({step for path in paths for step in path.split("/")} | wanted)
    edges, meaning = np.full((len(paths) + 1, 10, 2), -1), np.full((len(paths) + 1, 4), -1)
    for state, path in enumerate(paths, ROOT):
        children = [one for one in paths if one and one.rpartition("/")[0] == path]
        for place, child in enumerate(children):
            edges[state, place] = names.index(child.rpartition("/")[2]), paths.index(child) + ROOT
        field, marks, attributes = elements.get(path, (-1, False, ()))
        meaning[state, 0], meaning[state, 3] = field, marks
        meaning[state, 1 : 1 + len(attributes)] = [names.index(one) for one in attributes]
    return Grammar(edges, meaning, *name_table(names))


def classes() -> Array:
    """uint8[256]: what each byte can be in a name or between attributes."""
    table = np.zeros(256, np.uint8)
    table[[*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1), ord("_")]] = (
        NAME_START | NAME_PART
    )
    table[list(b"0123456789.-")] = NAME_PART
    table[list(b" \t\r\n")] = WHITE
    return table
