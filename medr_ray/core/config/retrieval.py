"""What is searchable, how it is ranked, and the live services that are asked beside the index."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from medr_ray.core.config.base import FileSource, Operational, Section, ServiceConfig
from medr_ray.core.config.names import registered_in
from medr_ray.core.config.urls import ServiceUrl, StorageUri

SourceName = Annotated[str, registered_in("medr_ray.retrieval.documents:SOURCES")]
LiveSourceName = Annotated[str, registered_in("medr_ray.retrieval.live.searcher:LIVE_SOURCES")]


class DocumentSource(FileSource):
    """A source of documents; a plain name stands for a source that needs no files.

    ``pubmed`` is the corpus, ``hpo`` the embedded disease records, ``registries`` the embedded
    snapshot of registries, as far as their files are not given. The others are files of their
    publishers: ``fda_labels`` JSON lines of openFDA drug labels, ``fda_approvals`` the Drugs@FDA
    zip and optionally the Orange Book's patent and exclusivity tables, ``trials`` JSON lines of
    ClinicalTrials.gov studies, ``livertox`` JSON lines of monographs."""

    # Made from the corpus, from an installed package, and from the snapshot inside this one.
    WITHOUT_FILES = ("pubmed", "hpo", "registries")

    source: SourceName = Field(
        description="pubmed, hpo, registries, or a source that is read from files"
    )


class EncodingConfig(Section):
    """How ``models.encoder`` turns documents into vectors, and which model does so for queries.

    MedCPT: pooling ``cls`` and a ``query_encoder`` of its own. BMRetriever: pooling ``last`` and
    prefixes."""

    pooling: Literal["mean", "cls", "last"] = Field(
        "mean", description="how the vectors of tokens become one vector"
    )
    max_tokens: int = Field(256, ge=8, description="tokens of a text; a longer text is truncated")
    document_prefix: str = Field(
        "", description="text before each document, for encoders trained with instructions"
    )
    query_prefix: str = Field("", description="text before each query")
    query_encoder: str = Field(
        "", description="model reference of the query encoder; empty: models.encoder"
    )


class IndexConfig(Section):
    """What is searchable. ``embed`` says which text gets a vector; full text always covers title
    and abstract."""

    # The defaults skip validation: the room that owns the names cannot be imported from here while
    # this module is being imported.
    sources: tuple[DocumentSource, ...] = Field(
        (
            DocumentSource.model_construct(source="pubmed", paths=()),
            DocumentSource.model_construct(source="hpo", paths=()),
        ),
        description="sources of the documents, each named once",
    )
    embed: Literal["none", "titles", "titles_and_abstracts"] = Field(
        "titles", description="the text of a document that gets a vector"
    )
    embed_sources: tuple[SourceName, ...] = Field(
        ("pubmed", "hpo", "fda_labels", "fda_approvals", "trials", "livertox"),
        description="sources whose documents get a vector",
    )
    encoding: EncodingConfig = Field(EncodingConfig(), description="how vectors are made")
    batch_size: int = Field(64, ge=1, description="texts embedded together")
    workers: Operational[int] = Field(1, ge=1, description="Ray actors that embed")
    remove_stop_words: bool = Field(
        True, description="leave English stop words out of the full-text index"
    )

    @model_validator(mode="after")
    def _check_sources(self) -> "IndexConfig":
        names = [document_source.source for document_source in self.sources]
        if len(set(names)) < len(names) or not names:
            raise ValueError(
                "sources: name each source once, and one at least; a source takes any number of "
                "paths"
            )
        return self


class RetrievalConfig(Section):
    """How documents are ranked: Score(d, q) blends relevance and clinical authority, with
    ``relevance_weight`` as the paper's lambda (section 2.2)."""

    mode: Literal["text", "vector", "hybrid"] = Field(
        "hybrid", description="search by full text, by vectors, or by both"
    )
    relevance_weight: float = Field(
        0.4, ge=0, le=1, description="weight of relevance; clinical authority has the rest"
    )
    journal_ranks: StorageUri | None = Field(
        None,
        description="path or URI of the SCImago Journal Rank table (plain or gzip), which shifts "
        "authority",
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
        10.0, gt=0, description="years in which the freshness of a document halves"
    )
    retracted_pmids: StorageUri | None = Field(
        None,
        description="path or URI of retracted PMIDs, one a line (plain or gzip); they have no "
        "authority",
    )
    candidates: int = Field(30, ge=1, description="documents that a search ranks")
    results: int = Field(3, ge=1, description="documents shown to the agent per call")
    snippet_sentences: int = Field(2, ge=1, description="sentences of a snippet")
    snippet_chars: int = Field(240, ge=40, description="characters of a snippet")


class PubmedConfig(Section):
    """NCBI E-utilities. The key is optional, read from ``api_key_env`` and never stored."""

    base_url: ServiceUrl = Field(
        "https://eutils.ncbi.nlm.nih.gov/entrez/eutils", description="address of the service"
    )
    api_key_env: Operational[str] = Field(
        "MEDR_NCBI_API_KEY", description="environment variable that holds the key"
    )
    tool: Operational[str] = Field(
        "medr_ray", description="name of the program, as NCBI asks to be given"
    )
    email: Operational[str] = Field(
        "",
        description="address that NCBI writes to before it blocks a user; it asks everyone to "
        "give one",
    )
    requests_per_second: Operational[float | None] = Field(
        None, gt=0, description="requests per second; null: 3, or 10 with a key, as NCBI allows"
    )


class TrialsConfig(Section):
    """ClinicalTrials.gov, version 2 of its API, which has no keys."""

    base_url: ServiceUrl = Field(
        "https://clinicaltrials.gov/api/v2", description="address of the service"
    )
    requests_per_minute: Operational[float] = Field(50.0, gt=0, description="requests per minute")


class OpenfdaConfig(Section):
    """openFDA. The key is optional (it raises the daily limit), read from ``api_key_env`` and never
    stored."""

    base_url: ServiceUrl = Field("https://api.fda.gov", description="address of the service")
    api_key_env: Operational[str] = Field(
        "MEDR_OPENFDA_API_KEY", description="environment variable that holds the key"
    )
    requests_per_minute: Operational[float] = Field(240.0, gt=0, description="requests per minute")


class LiveConfig(ServiceConfig):
    """The services that ``medical_search`` asks beside the index."""

    sources: tuple[LiveSourceName, ...] = Field(
        (), description="services to ask: pubmed, trials, fda_labels, fda_approvals; empty: none"
    )
    candidates: int = Field(
        20, ge=1, le=100, description="documents taken from each service and ranked here"
    )
    pubmed: PubmedConfig = Field(PubmedConfig(), description="settings of PubMed")
    trials: TrialsConfig = Field(TrialsConfig(), description="settings of ClinicalTrials.gov")
    openfda: OpenfdaConfig = Field(OpenfdaConfig(), description="settings of openFDA")
