"""What is searchable, how it is ranked, and the live services that are asked beside the index."""

from typing import Any, Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import Operational, Section, ServiceConfig

SourceName = Literal["pubmed", "hpo", "fda_labels", "fda_approvals", "trials", "livertox"]
_WITHOUT_FILES = ("pubmed", "hpo")


class DocumentSource(Section):
    """What documents are made of; a plain name stands for a source that needs no files.

    ``pubmed`` is the corpus, ``hpo`` the embedded disease records. The others are files of their
    publishers: ``fda_labels`` JSON lines of openFDA drug labels, ``fda_approvals`` the Drugs@FDA
    zip and with it, where wanted, the Orange Book's patent and exclusivity tables, ``trials`` JSON
    lines of ClinicalTrials.gov studies, ``livertox`` JSON lines of monographs."""

    source: SourceName
    paths: tuple[str, ...] = Field(
        (), description="files, plain or gzip, or URIs; a * stands for any of a folder"
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _files_where_needed(self) -> "DocumentSource":
        if (self.source in _WITHOUT_FILES) == bool(self.paths):
            needs = "takes no paths" if self.paths else "needs its files in paths"
            raise ValueError(f"the source {self.source} {needs}")
        return self


class EncodingConfig(Section):
    """How ``models.encoder`` makes vectors of documents, and what makes those of queries.

    MedCPT: pooling ``cls`` and a ``query_encoder`` of its own. BMRetriever: pooling ``last`` and
    prefixes."""

    pooling: Literal["mean", "cls", "last"] = "mean"
    max_tokens: int = Field(256, ge=8, description="longer texts are cut")
    document_prefix: str = Field(
        "", description="in front of each document, for encoders trained with instructions"
    )
    query_prefix: str = Field("", description="in front of each query")
    query_encoder: str = Field(
        "", description="a model reference; empty: models.encoder makes both"
    )


class IndexConfig(Section):
    """What is searchable. ``embed`` says which text gets a vector; full text always covers title
    and abstract."""

    sources: tuple[DocumentSource, ...] = (
        DocumentSource(source="pubmed"),
        DocumentSource(source="hpo"),
    )
    embed: Literal["none", "titles", "titles_and_abstracts"] = "titles"
    embed_sources: tuple[SourceName, ...] = (
        "pubmed",
        "hpo",
        "fda_labels",
        "fda_approvals",
        "trials",
        "livertox",
    )
    encoding: EncodingConfig = EncodingConfig()
    batch_size: int = Field(64, ge=1, description="texts embedded together")
    workers: Operational[int] = Field(1, ge=1, description="embedding actors")
    remove_stop_words: bool = Field(
        True, description="leave English stop words out of the full-text index"
    )

    @model_validator(mode="after")
    def _sources_are_named_once(self) -> "IndexConfig":
        names = [one.source for one in self.sources]
        if len(set(names)) < len(names) or not names:
            raise ValueError(
                "sources: name each source once, and one at least; a source takes any number of paths"
            )
        return self


class RetrievalConfig(Section):
    """How documents are ranked: Score(d, q) = authority_weight-blended relevance and clinical
    authority.

    ``relevance_weight`` is the paper's lambda (section 2.2)."""

    mode: Literal["text", "vector", "hybrid"] = "hybrid"
    relevance_weight: float = Field(0.4, ge=0, le=1)
    journal_ranks: str | None = Field(
        None,
        description="SCImago Journal Rank table, plain or gzip: path or URI; it shifts authority",
    )
    journal_weight: float = Field(
        0.15,
        ge=0,
        le=1,
        description="authority between the last and the first of the ranked journals",
    )
    recency_weight: float = Field(
        0.0, ge=0, le=1, description="authority between the oldest and the newest document"
    )
    recency_half_life: float = Field(
        10.0, gt=0, description="years in which a document's freshness halves"
    )
    retracted_pmids: str | None = Field(
        None,
        description="PMIDs known to be retracted, one a line, plain or gzip: path or URI; they have no authority",
    )
    candidates: int = Field(30, ge=1)
    results: int = Field(3, ge=1, description="documents shown to the agent per call")
    snippet_sentences: int = Field(2, ge=1)
    snippet_chars: int = Field(240, ge=40)


LiveSource = Literal["pubmed", "trials", "fda_labels", "fda_approvals"]


class PubmedConfig(Section):
    """NCBI E-utilities. The key is optional, read from ``api_key_env`` and never stored."""

    base_url: str = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
    api_key_env: Operational[str] = "MEDR_NCBI_API_KEY"
    tool: Operational[str] = Field("medr_ray", description="what NCBI is told to be asked by")
    email: Operational[str] = Field(
        "", description="whom NCBI writes to before it blocks a user; it asks everyone to give it"
    )
    requests_per_second: Operational[float | None] = Field(
        None, gt=0, description="unset: 3, or 10 with a key, as NCBI allows"
    )


class TrialsConfig(Section):
    """ClinicalTrials.gov, version 2 of its API, which knows no keys."""

    base_url: str = "https://clinicaltrials.gov/api/v2"
    requests_per_minute: Operational[float] = Field(50.0, gt=0)


class OpenfdaConfig(Section):
    """openFDA. The key is optional (it raises the requests a day), read from ``api_key_env`` and
    never stored."""

    base_url: str = "https://api.fda.gov"
    api_key_env: Operational[str] = "MEDR_OPENFDA_API_KEY"
    requests_per_minute: Operational[float] = Field(240.0, gt=0)


class LiveConfig(ServiceConfig):
    """Which services ``medical_search`` asks beside the index; none as long as ``sources`` is
    empty."""

    sources: tuple[LiveSource, ...] = ()
    candidates: int = Field(
        20, ge=1, le=100, description="documents taken of each service, to be ranked here"
    )
    pubmed: PubmedConfig = PubmedConfig()
    trials: TrialsConfig = TrialsConfig()
    openfda: OpenfdaConfig = OpenfdaConfig()
