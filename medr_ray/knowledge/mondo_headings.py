"""Which diseases of OMIM and Orphanet the headings of MeSH are, as Mondo states it.

``mondo_headings.json`` is compiled from Mondo (https://mondo.monarchinitiative.org, CC BY 4.0) by
``find_mondo_headings``: each heading that Mondo refers to, with the ids of OMIM and Orphanet that
Mondo's term refers to as well. None stand where the term has no such ids, and where several terms
refer to the heading, for then it is broader than each of them.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import cast

from medr_ray.core.prompts import read_package_json
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry

_FILE = "mondo_headings.json"
_AUTHORITIES = ("OMIM:", "ORPHA:")


@functools.cache
def load_mondo_headings() -> Mapping[str, tuple[str, ...]]:
    """The ids by heading, from the package."""
    content = cast(dict[str, list[str]], read_package_json("medr_ray.knowledge", _FILE))
    return {heading: tuple(ids) for heading, ids in content.items()}


def find_mondo_headings(
    headings: Iterable[str], mesh: Iterable[VocabularyEntry], mondo: Iterable[VocabularyEntry]
) -> dict[str, tuple[str, ...]]:
    """The ids by heading, from the entries of MeSH's and Mondo's files."""
    number_by_name = {entry.name.casefold(): entry.concept_id for entry in mesh}
    terms: dict[str, list[VocabularyEntry]] = defaultdict(list)
    for entry in mondo:
        for xref in entry.xrefs:
            terms[xref].append(entry)
    ids = {}
    for heading in sorted(set(headings)):
        referring = terms.get(number_by_name.get(heading.casefold(), ""), [])
        if referring:
            xrefs = referring[0].xrefs if len(referring) == 1 else ()
            ids[heading] = tuple(sorted({x for x in xrefs if x.startswith(_AUTHORITIES)}))
    return ids
