"""A web search service for the tool ``search``."""

from medr_ray.core.config.section import Section


class WebSearchConfig(Section):
    """A web search service for the tool ``search``."""
