"""What is searchable, and how it is ranked."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.section import Section


class IndexConfig(Section):
    """What is searchable. ``embed`` says which text gets a vector; full text always covers title and abstract."""

    embed: Literal["none", "titles", "titles_and_abstracts"] = "titles"
    embed_sources: tuple[Literal["pubmed", "hpo"], ...] = ("pubmed", "hpo")
    batch_size: int = Field(64, ge=1, description="texts embedded together")
    workers: int = Field(1, ge=1, description="embedding actors")
    remove_stop_words: bool = Field(True, description="leave English stop words out of the full-text index")


class RetrievalConfig(Section):
    """How documents are ranked: Score(d, q) = authority_weight-blended relevance and clinical authority.

    ``relevance_weight`` is the paper's lambda (section 2.2)."""

    mode: Literal["text", "vector", "hybrid"] = "hybrid"
    relevance_weight: float = Field(0.4, ge=0, le=1)
    candidates: int = Field(30, ge=1)
    results: int = Field(3, ge=1, description="documents shown to the agent per call")
    snippet_sentences: int = Field(2, ge=1)
    snippet_chars: int = Field(240, ge=40)
