"""Live sources behind the medical retriever: PubMed, ClinicalTrials.gov, openFDA."""

from medr_ray.core.config.section import Section


class LiveConfig(Section):
    """Live sources behind the medical retriever: PubMed, ClinicalTrials.gov, openFDA."""
