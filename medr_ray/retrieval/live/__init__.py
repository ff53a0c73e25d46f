"""Live sources behind the medical retriever: PubMed, ClinicalTrials.gov and openFDA.

Guarantees of this folder:

- A searcher over the configured services, alone or beside the index, whose hits are ranked as the
  index's are.
- Rate limits that hold for the whole cluster.
- A service that fails is named in the result, and the others still answer.
"""

from medr_ray.retrieval.live.annotated_results import AnnotatedResults
from medr_ray.retrieval.live.combined import CombinedSearcher, combine_searchers
from medr_ray.retrieval.live.searcher import LiveSearcher, open_live

__all__ = ["AnnotatedResults", "CombinedSearcher", "LiveSearcher", "combine_searchers", "open_live"]
