"""Orphanet's rare diseases (``ORPHA:…``) from Orphadata XML.

Product 1 (``en_product1.xml``) has synonyms and references to other vocabularies. Any other product
with ``Disorder`` elements (``OrphaCode``, ``Name``) can be read for the names alone. All are
described at https://www.orphadata.com/docs/OrphadataFreeAccessProductsDescription.pdf.

Obsolete and inactive disorders are left out. A remark before a name ("NON RARE IN EUROPE: ") is
removed. Only references that Orphanet calls exact count, and those without a relation.
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
    read_disorder_name,
    read_elements,
    text_of,
    texts_of,
)

_EXPECTED = "Orphadata XML with Disorder elements (such as en_product1.xml)"
_CODE = re.compile(r"\d+")
_OBSOLETE = re.compile(r"(obsolete|deprecated|inactive)\b", re.IGNORECASE)
# Values of <Source>. The others (UMLS, ICD, MedDRA and so on) name no concepts here.
_REFERENCE_SOURCES = frozenset({"OMIM", "MeSH", "MONDO"})


def read_orphanet(stream: BinaryIO, report: VocabularyReport) -> Iterator[VocabularyEntry]:
    """The current disorders of an Orphadata file."""
    for where, disorder in read_elements(stream, report, ("Disorder",), _EXPECTED):
        code = text_of(disorder, "OrphaCode")
        name = read_disorder_name(disorder)
        flags = texts_of(disorder, "DisorderFlagList/DisorderFlag/Label")
        if not _CODE.fullmatch(code) or not name:
            report.skip_record(where, f"no OrphaCode with a Name: {code!r}, {name!r}")
        elif any(map(_OBSOLETE.match, (name, *flags))):
            report.omit_record("obsolete or inactive")
        else:
            synonyms = texts_of(disorder, "SynonymList/Synonym")
            xrefs = _read_exact_references(disorder)
            yield VocabularyEntry(f"ORPHA:{code}", name, DISEASE, synonyms, xrefs=xrefs)


def _read_exact_references(disorder: etree._Element) -> tuple[str, ...]:
    """The ids of the same disorder in other vocabularies."""
    references = []
    for reference in disorder.iterfind("ExternalReferenceList/ExternalReference"):
        relation = text_of(reference, "DisorderMappingRelation/Name")
        source = text_of(reference, "Source")
        # "E (Exact mapping ...)"; the other relations are broader, narrower and so on.
        is_exact = not relation or relation.startswith("E ")
        if source in _REFERENCE_SOURCES and is_exact:
            # Ids of Mondo come with its prefix, which make_xref adds.
            local_id = text_of(reference, "Reference").removeprefix("MONDO:")
            references.append(make_xref(source, local_id))
    return tuple(dict.fromkeys(filter(None, references)))
