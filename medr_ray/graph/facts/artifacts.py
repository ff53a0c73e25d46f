"""What the facts stage writes for others."""

from dataclasses import dataclass

from medr_ray.core.artifacts import Artifact
from medr_ray.core.records import Fact, FactSource, RegistryEntity


@dataclass(frozen=True)
class SourceRecord:
    """A record that states facts: its registry, its id there, its title, and the ISO date of what
    it states ("" where it is not known)."""

    source: FactSource
    record_id: str
    title: str
    as_of: str


FACTS = Artifact("facts", "facts", Fact)
FACT_ENTITIES = Artifact("facts", "entities.parquet", RegistryEntity)
SOURCE_RECORDS = Artifact("facts", "records", SourceRecord)
