"""Live sources behind the medical retriever: PubMed, ClinicalTrials.gov, openFDA."""

from typing import Literal

from pydantic import Field

from medr_ray.core.config.section import Section
from medr_ray.core.config.service import ServiceConfig

LiveSource = Literal["pubmed", "trials", "fda_labels", "fda_approvals"]


class PubmedConfig(Section):
    """NCBI E-utilities. The key is optional, read from ``api_key_env`` and never stored."""

    base_url: str = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
    api_key_env: str = "MEDR_NCBI_API_KEY"
    tool: str = Field("medr_ray", description="what NCBI is told to be asked by")
    email: str = Field(
        "", description="whom NCBI writes to before it blocks a user; it asks everyone to give it"
    )
    requests_per_second: float | None = Field(
        None, gt=0, description="unset: 3, or 10 with a key, as NCBI allows"
    )


class TrialsConfig(Section):
    """ClinicalTrials.gov, version 2 of its API, which knows no keys."""

    base_url: str = "https://clinicaltrials.gov/api/v2"
    requests_per_minute: float = Field(50.0, gt=0)


class OpenfdaConfig(Section):
    """openFDA. The key is optional (it raises the requests a day), read from ``api_key_env`` and
    never stored."""

    base_url: str = "https://api.fda.gov"
    api_key_env: str = "MEDR_OPENFDA_API_KEY"
    requests_per_minute: float = Field(240.0, gt=0)


class LiveConfig(ServiceConfig):
    """Which services ``medical_search`` asks beside the index; none as long as ``sources`` is
    empty."""

    sources: tuple[LiveSource, ...] = ()
    candidates: int = Field(
        20, ge=1, le=100, description="documents taken of each service, to be ranked here"
    )
    pubmed: PubmedConfig = PubmedConfig()
    trials: TrialsConfig = TrialsConfig()
    openfda: OpenfdaConfig = OpenfdaConfig()
