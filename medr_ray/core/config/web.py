"""A web search service for the tool ``search``."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.service import ServiceConfig


class WebSearchConfig(ServiceConfig):
    """A service that answers as serper.dev or tavily.com does. The key is read from
    ``api_key_env``, never stored."""

    provider: Literal["none", "serper", "tavily"] = "none"
    base_url: str = Field(
        "",
        description="empty: the provider's own, https://google.serper.dev or "
        "https://api.tavily.com",
    )
    api_key_env: str = "MEDR_WEB_SEARCH_API_KEY"
    requests_per_minute: float = Field(60.0, gt=0)
    results: int = Field(5, ge=1, le=20, description="pages shown to the agent per call")
    snippet_chars: int = Field(300, ge=40)
