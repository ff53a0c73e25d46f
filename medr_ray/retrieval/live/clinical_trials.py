"""ClinicalTrials.gov by version 2 of its API: one search, whose answer has the studies themselves.

Guarantees: a query is words, never Essie syntax. The service gives the latest version of a record,
so years and the cut-off count from its last update, as in the index. Tables of results, which are
long, are left to the study's page.

Format: https://clinicaltrials.gov/data-api/api (studies, query.term, filter.advanced, fields).
"""

from typing import Any

from pydantic import BaseModel

from medr_ray.core.config import LiveConfig
from medr_ray.governor.gate import Limits
from medr_ray.retrieval.documents import TRIALS, Document
from medr_ray.retrieval.live.service import (
    ServiceRequest,
    ServiceResponse,
    WebService,
    parse_json_body,
    parse_rows,
)
from medr_ray.retrieval.live.source import LiveQuery, search_widening
from medr_ray.retrieval.query_text import loosen_query
from medr_ray.retrieval.readers.trials import document_from_study

_REGISTRATION = "registration"  # the kind of evidence of a study without results
_FIELDS = (
    "IdentificationModule",
    "StatusModule",
    "SponsorCollaboratorsModule",
    "DescriptionModule",
    "ConditionsModule",
    "DesignModule",
    "ArmsInterventionsModule",
    "OutcomesModule",
    "EligibilityModule",
    "ReferencesModule",
    "HasResults",
)


class _SearchBody(BaseModel):
    studies: list[Any]


class ClinicalTrialsSource:
    """ClinicalTrials.gov as a source."""

    name = TRIALS
    kinds = frozenset({"randomised_trial", "trial", "observational", _REGISTRATION})

    def __init__(self, config: LiveConfig) -> None:
        limits = Limits(config.trials.requests_per_minute, concurrency=config.concurrency)
        self._service = WebService("ClinicalTrials.gov", config.trials.base_url, config, limits)

    async def find_documents(self, query: LiveQuery) -> list[Document]:
        """See ``live.source.LiveSource``.

        Where no study has all the words of a question, the search is loosened.
        """
        return await search_widening(
            lambda words: self._search_studies(words, query), loosen_query(query.query)
        )

    async def _search_studies(self, words: str, query: LiveQuery) -> list[Document]:
        params = {
            "query.term": words,
            "pageSize": str(query.count),
            "sort": "@relevance",
            "fields": ",".join(_FIELDS),
            **_build_filters(query),
        }
        request = ServiceRequest("GET", "studies", params)
        documents = await self._service.request(request, _parse_studies)
        return documents[: query.count]


def _build_filters(query: LiveQuery) -> dict[str, str]:
    """The parameters that narrow a search."""
    filters = {}
    if query.is_dated:
        span = f"[{query.first_day},{query.last_day}]"
        filters["filter.advanced"] = f"AREA[LastUpdatePostDate]RANGE{span}"
    # All other kinds of evidence need results (see ``readers.trials.classify_study``).
    if query.types and _REGISTRATION not in query.types:
        filters["aggFilters"] = "results:with"
    return filters


def _parse_studies(response: ServiceResponse) -> list[Document]:
    studies = parse_json_body(response.body, _SearchBody).studies
    return parse_rows(studies, document_from_study)
