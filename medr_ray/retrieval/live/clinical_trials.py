"""ClinicalTrials.gov by version 2 of its API: one search, whose answer holds the studies
themselves.

What holds: a query is words, never Essie syntax. The service gives the latest version of a record,
so years and the cut-off count from its last update, as in the index. Tables of results, which are
long, are left to the study's page.

Format: https://clinicaltrials.gov/data-api/api (studies, query.term, filter.advanced, fields).
"""

from typing import Any

from pydantic import BaseModel

from medr_ray.core.config import LiveConfig
from medr_ray.governor.gate import Limits
from medr_ray.retrieval.documents import TRIALS, Document
from medr_ray.retrieval.live.service import Ask, Reply, Service, read_json, read_rows
from medr_ray.retrieval.live.source import Inquiry, widening
from medr_ray.retrieval.query_text import loosened
from medr_ray.retrieval.readers.trials import from_study

_REGISTRATION = "registration"
_MODULES = (
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


class _Search(BaseModel):
    studies: list[Any]


class Trials:
    """ClinicalTrials.gov as a source."""

    name = TRIALS
    kinds = frozenset({"randomised_trial", "trial", "observational", _REGISTRATION})

    def __init__(self, config: LiveConfig) -> None:
        limits = Limits(config.trials.requests_per_minute, concurrency=config.concurrency)
        self._service = Service("ClinicalTrials.gov", config.trials.base_url, config, limits)

    async def documents(self, inquiry: Inquiry) -> list[Document]:
        """See ``live.source.Source``. A question whose words no study holds all of is asked more
        loosely."""
        return await widening(lambda words: self._search(words, inquiry), loosened(inquiry.query))

    async def _search(self, words: str, inquiry: Inquiry) -> list[Document]:
        params = {
            "query.term": words,
            "pageSize": str(inquiry.count),
            "sort": "@relevance",
            "fields": ",".join(_MODULES),
            **_narrowed(inquiry),
        }
        return (await self._service.ask(Ask("GET", "studies", params), _studies))[: inquiry.count]


def _narrowed(inquiry: Inquiry) -> dict[str, str]:
    """The filters of a search."""
    filters = {}
    if inquiry.is_dated:
        filters["filter.advanced"] = (
            f"AREA[LastUpdatePostDate]RANGE[{inquiry.first_day},{inquiry.last_day}]"
        )
    if inquiry.types and _REGISTRATION not in inquiry.types:
        filters["aggFilters"] = "results:with"
    return filters


def _studies(reply: Reply) -> list[Document]:
    return read_rows(read_json(reply.body, _Search).studies, from_study)
