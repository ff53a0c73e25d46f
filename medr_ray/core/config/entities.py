"""Which names are counted in the corpus, and which of the named concepts are rare."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Backend, Section
from medr_ray.core.config.names import registered_in
from medr_ray.core.config.urls import StorageUri
from medr_ray.core.records import EntityType

EmbeddedVocabulary = Annotated[str, registered_in("medr_ray.knowledge.lexicon:VOCABULARIES")]
VocabularyFormat = Annotated[str, registered_in("medr_ray.knowledge.vocabularies:READERS")]


class LexiconSource(Section):
    """A foreign vocabulary for the lexicon, in its publisher's format (see
    ``medr_ray.knowledge``)."""

    format: VocabularyFormat = Field(description="format of the file: mesh, mondo, csv and others")
    path: StorageUri = Field(
        description="a file, plain or gzip, or a URI; list MeSH descriptors before supplementary "
        "concepts"
    )
    entity_type: EntityType | None = Field(
        None, description="type of every row of a csv that has no column 'type'"
    )
    types: tuple[EntityType, ...] = Field(
        (), description="entity types to take from the file; empty: every type"
    )

    @model_validator(mode="after")
    def _check_entity_type(self) -> "LexiconSource":
        if self.entity_type is not None and self.format != "csv":
            raise ValueError(
                f"entity_type is for format csv; {self.format} files say their types themselves"
            )
        return self


SeedType = Literal["disease", "phenotype", "gene", "drug"]
_SHARE_TOLERANCE = 1e-6  # of a sum of shares such as 0.8, 0.1 and 0.1


class EntitiesConfig(Section):
    """Which names to count, and what counts as rare."""

    vocabularies: tuple[EmbeddedVocabulary, ...] = Field(
        ("hpo", "hpo_diseases", "genes", "diseases", "drugs"),
        description="vocabularies of the installed packages that the lexicon is built from",
    )
    lexicons: tuple[LexiconSource, ...] = Field(
        (), description="foreign vocabularies, the most trusted first"
    )
    min_form_length: int = Field(
        4, ge=1, description="letters of a form; a shorter form is matched in capitals only"
    )
    abbreviations: bool = Field(
        True,
        description="match an abbreviation in the text that defines it, such as "
        '"tardive dyskinesia (TD)"',
    )
    rare_frequency: float = Field(
        1e-6,
        gt=0,
        le=1,
        description="a concept is rare when the upper 95 % bound of df / N is below this "
        "(paper: 1e-6)",
    )
    rare_documents: int | None = Field(
        None,
        ge=1,
        description="in a corpus too small for that bound, a concept is rare when at most this "
        "many citations name it",
    )
    min_documents: int = Field(
        1, ge=1, description="citations that must name a concept; fewer may be a typing error"
    )
    seed_quota: dict[SeedType, float] = Field(
        {"disease": 1.0},
        min_length=1,
        description="shares of the seeds by entity type (disease, phenotype, gene, drug); all of "
        "the type with the largest share are kept",
    )
    prevalence: StorageUri | None = Field(
        None,
        description="path or URI of Orphadata product 9 (prevalence XML, plain or gzip), which "
        "shows what is rare and ranks the seeds; null for the edition in the package",
    )
    significance: Backend = Field(
        "rules", description="who judges whether a rare concept is significant"
    )
    judge_batch: int = Field(
        20,
        ge=1,
        description="candidates in one request to an llm judge; fewer where llm.max_tokens is too "
        "small",
    )

    @model_validator(mode="after")
    def _check_quota(self) -> "EntitiesConfig":
        shares = self.seed_quota.values()
        if not all(share > 0 for share in shares) or abs(sum(shares) - 1) > _SHARE_TOLERANCE:
            raise ValueError(
                f"seed_quota has the shares {', '.join(f'{share:g}' for share in shares)}; each "
                "must be above 0, and their sum 1"
            )
        return self
