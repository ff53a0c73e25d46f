"""Which names are counted in the corpus, and which of them are rare."""

from typing import Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Section
from medr_ray.core.records import EntityType


class LexiconSource(Section):
    """A foreign vocabulary for the lexicon, as its publisher distributes it (see
    ``medr_ray.knowledge``)."""

    format: Literal["mesh", "mondo", "orphanet", "hgnc", "drugbank", "csv"]
    path: str = Field(
        description="a file, plain or gzip, or a URI; MeSH descriptors before supplementary concepts"
    )
    entity_type: EntityType | None = Field(
        None, description="of every row, for a csv without a column 'type'"
    )
    types: tuple[EntityType, ...] = Field((), description="take only these; empty takes every type")

    @model_validator(mode="after")
    def _typed_only_where_read(self) -> "LexiconSource":
        if self.entity_type is not None and self.format != "csv":
            raise ValueError(
                f"entity_type is for format csv; {self.format} files say their types themselves"
            )
        return self


class EntitiesConfig(Section):
    """Which names to count and what counts as rare."""

    vocabularies: tuple[Literal["hpo", "hpo_diseases", "genes", "diseases", "drugs"], ...] = (
        "hpo",
        "hpo_diseases",
        "genes",
        "diseases",
        "drugs",
    )
    lexicons: tuple[LexiconSource, ...] = Field(
        (), description="foreign vocabularies, the most trusted first"
    )
    min_form_length: int = Field(
        4, ge=1, description="letters; shorter forms are matched in capitals only"
    )
    abbreviations: bool = Field(
        True,
        description='an abbreviation that a text defines, "tardive dyskinesia (TD)", is found in that text',
    )
    rare_frequency: float = Field(
        1e-6,
        gt=0,
        le=1,
        description="rare when the upper 95 % bound of df / N is below this (paper: 1e-6)",
    )
    rare_documents: int | None = Field(
        None,
        ge=1,
        description="in a corpus too small for that bound: rare when named in at most so many citations",
    )
    min_documents: int = Field(1, ge=1, description="support needed to be more than a typo")
    seed_types: tuple[str, ...] = ("disease",)
    prevalence: str | None = Field(
        None,
        description="Orphadata product 9 prevalence XML, plain or gzip: path or URI; it ranks the seeds",
    )
    significance: Backend = "rules"
    judge_batch: int = Field(
        20,
        ge=1,
        description="candidates an llm judge is shown at once; fewer where llm.max_tokens is too small",
    )
