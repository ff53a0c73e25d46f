"""Orphanet's rare diseases (``ORPHA:…``) from Orphadata XML.

Product 1 (``en_product1.xml``) has synonyms and references to other vocabularies; every other
product with ``Disorder`` elements (``OrphaCode``, ``Name``) is read as well, for the names alone
(https://www.orphadata.com/docs/OrphadataFreeAccessProductsDescription.pdf).

What holds: obsolete and inactive disorders are left out; a remark before a name ("NON RARE IN
EUROPE: ") is no part of it; only references that Orphanet calls exact count, all where it does not
say.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from lxml import etree

from medr_ray.knowledge.predicates import DISEASE
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyEntry,
    VocabularyReport,
    make_xref,
    read_elements,
    text_of,
    texts_of,
)

_EXPECTED = "Orphadata XML with Disorder elements (such as en_product1.xml)"
_CODE = re.compile(r"\d+")
_OBSOLETE = re.compile(r"(obsolete|deprecated|inactive)\b", re.IGNORECASE)
_REMARK = re.compile(r"^NON RARE IN [A-Z]+: ")
_REFERENCE_SOURCES = frozenset({"OMIM", "MeSH", "MONDO"})


def read_orphanet(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """The disorders of an Orphadata file."""
    for where, disorder in read_elements(stream, report, ("Disorder",), _EXPECTED):
        code, name = text_of(disorder, "OrphaCode"), _REMARK.sub("", text_of(disorder, "Name"))
        flags = texts_of(disorder, "DisorderFlagList/DisorderFlag/Label")
        if not _CODE.fullmatch(code) or not name:
            report.skip_record(where, f"no OrphaCode with a Name: {code!r}, {name!r}")
        elif any(map(_OBSOLETE.match, (name, *flags))):
            report.omit_record("obsolete or inactive")
        else:
            synonyms = texts_of(disorder, "SynonymList/Synonym")
            yield VocabularyEntry(
                f"ORPHA:{code}", name, DISEASE, synonyms, xrefs=_read_exact_references(disorder)
            )


def _read_exact_references(disorder: etree._Element) -> tuple[str, ...]:
    references = []
    for reference in disorder.iterfind("ExternalReferenceList/ExternalReference"):
        relation, source = (
            text_of(reference, "DisorderMappingRelation/Name"),
            text_of(reference, "Source"),
        )
        if source in _REFERENCE_SOURCES and (not relation or relation.startswith("E ")):
            local_id = text_of(reference, "Reference").removeprefix("MONDO:")
            references.append(make_xref(source, local_id))
    return tuple(dict.fromkeys(filter(None, references)))
