"""The tool ``read``: what may be fetched, and how much of it."""

from medr_ray.core.config.section import Section


class ReadConfig(Section):
    """The tool ``read``: what may be fetched, and how much of it."""
