"""Live sources behind the medical retriever: PubMed, ClinicalTrials.gov and openFDA, asked over the
network.

Promises: a searcher over the configured services, alone or beside the index, whose hits are ranked
as the index's are; limits and manners that hold for the whole cluster; failures of a service that
are told and take nothing else along.
"""

from medr_ray.retrieval.live.annotated_results import Noted
from medr_ray.retrieval.live.combined import Combined, combine
from medr_ray.retrieval.live.searcher import Live, open_live

__all__ = ["Combined", "Live", "Noted", "combine", "open_live"]
