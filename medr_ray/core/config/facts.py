"""Which sources state facts of record."""

from typing import Annotated

from pydantic import Field, model_validator

from medr_ray.core.config.base import FileSource, Operational, Section
from medr_ray.core.config.names import registered_in

FactSourceName = Annotated[str, registered_in("medr_ray.graph.facts.fact_units:SOURCES")]


class RegistrySource(FileSource):
    """A source of facts; a plain name stands for a source that needs no files.

    ``snapshot`` is the registries inside this package or in a folder, ``hpo`` the embedded
    annotations, ``pubmed`` the citations of the corpus. The others are files of their publishers:
    ``drugs_at_fda`` the zip, ``orange_book`` its tables or zip, ``drug_labels`` JSON lines of
    openFDA, ``clinical_trials`` JSON lines of studies or pages of the API, ``livertox`` JSON lines
    of monographs, ``orphanet`` Orphadata XML."""

    WITHOUT_FILES = ("snapshot", "hpo", "pubmed")

    source: FactSourceName = Field(description="snapshot, hpo, pubmed, or a registry's name")


class FactsConfig(Section):
    """What is stated as a fact of record. Files of a registry replace its part of the snapshot."""

    sources: tuple[RegistrySource, ...] = Field(
        (
            RegistrySource.model_construct(source="snapshot", paths=()),
            RegistrySource.model_construct(source="hpo", paths=()),
            RegistrySource.model_construct(source="pubmed", paths=()),
        ),
        description="sources of the facts, each named once",
    )
    snapshot: Operational[str] = Field(
        "",
        description="folder of a snapshot (medr registries build) that takes the place of the "
        "embedded one, for facts and for the documents of the index; its content counts",
    )
    workers: Operational[int] = Field(2, ge=1, description="Ray actors that read sources")

    @model_validator(mode="after")
    def _check_sources(self) -> "FactsConfig":
        names = [source.source for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("sources: name each source once; a source takes any number of paths")
        return self
