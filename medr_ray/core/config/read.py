"""The tool ``read``: what may be fetched, and how much of it."""

from pydantic import Field

from medr_ray.core.config.section import Backend, Section


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
    seconds: float = Field(20.0, gt=0, description="deadline of a fetch, all redirects together")
    parse_seconds: float = Field(15.0, gt=0, description="processor time to turn a page into text")
    parse_memory_mb: int = Field(
        1024, ge=128, description="address space of the process that does so"
    )
    requests_per_minute: float = Field(
        30.0, gt=0, description="to one host, by all agents of the cluster together"
    )
    concurrency: int = Field(4, ge=1, description="requests under way to one host")
    quotes: int = Field(6, ge=1, description="passages quoted for a goal")
    quote_chars: int = Field(400, ge=80, description="longest passage")
    extract: Backend = Field(
        "rules",
        description="who chooses the passages: word overlap, or the model of `llm`, whose passages must stand "
        "in the page word for word",
    )
    extract_chars: int = Field(24_000, ge=1000, description="of the page shown to the model")
