"""The tool ``diagnose``: the knowledge base and its priors."""

from medr_ray.core.config.section import Section


class DiagnosisConfig(Section):
    """The tool ``diagnose``: the knowledge base and its priors."""
