"""What an agent can call, beside the corpus: the web, diagnosis, foreign tools, and the cassette
they are kept on."""

import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from medr_ray.core.config.diagnosis import DiagnosisConfig
from medr_ray.core.config.live import LiveConfig
from medr_ray.core.config.read import ReadConfig
from medr_ray.core.config.section import Section
from medr_ray.core.config.web import WebSearchConfig

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
    api_key_env: str = Field("", description="variable that holds the bearer token of a url")
    tools: tuple[str, ...] = Field(
        (), description="names of the tools to use, as the server calls them; empty: all"
    )
    start_seconds: float = Field(30.0, gt=0, description="until the server has named its tools")
    seconds: float = Field(20.0, gt=0, description="deadline of one call")
    result_chars: int = Field(20_000, ge=100, description="longest result; the rest is cut off")
    requests_per_minute: float | None = Field(None, gt=0)
    concurrency: int = Field(8, ge=1)

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
