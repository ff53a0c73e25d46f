"""PubMed by E-utilities: esearch finds PMIDs, efetch gives the citations.

Guarantees: at most 3 requests a second, 10 with a key, over the whole cluster. Requests are POST,
so that the key is in no address. Citations without an abstract are left out, as in the index. XML
is read by ``corpus.medline``, which fetches and expands no entity, and a record that it cannot
read does not hide the others.

Format: NCBI, Entrez Programming Utilities Help (NBK25499).
"""

import io

from pydantic import BaseModel

from medr_ray.core.config import LiveConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation
from medr_ray.core.variables import read_key
from medr_ray.corpus import medline
from medr_ray.governor.gate import Limits
from medr_ray.retrieval.documents import PUBMED, Document, documents_with_abstract
from medr_ray.retrieval.live.service import (
    ServiceRequest,
    ServiceResponse,
    WebService,
    parse_json_body,
    parse_rows,
)
from medr_ray.retrieval.live.source import LiveQuery, search_widening
from medr_ray.retrieval.query_text import loosen_query

# Requests a second that NCBI allows.
_RATE_WITHOUT_KEY = 3.0
_RATE_WITH_KEY = 10.0
# Names of publication types, by the kind of evidence (``retrieval.authority``) they make.
_TYPE_NAMES = {
    "guideline": (
        "practice guideline",
        "guideline",
        "consensus development conference",
        "consensus development conference, nih",
    ),
    "systematic_review": ("systematic review", "meta-analysis"),
    "randomised_trial": (
        "randomized controlled trial",
        "clinical trial, phase iii",
        "clinical trial, phase iv",
    ),
    "trial": (
        "clinical trial",
        "controlled clinical trial",
        "clinical trial, phase i",
        "clinical trial, phase ii",
    ),
    "observational": (
        "observational study",
        "multicenter study",
        "comparative study",
        "evaluation study",
    ),
    "review": ("review",),
    "article": ("journal article", "historical article"),
    "case_report": ("case reports",),
    "preprint": ("preprint",),
    "opinion": ("editorial", "letter", "comment", "news", "interview", "lecture", "biography"),
}


class _SearchResult(BaseModel):
    idlist: list[str] = []
    ERROR: str = ""


class _SearchBody(BaseModel):
    esearchresult: _SearchResult


class PubMedSource:
    """PubMed as a source."""

    name = PUBMED
    kinds = frozenset(_TYPE_NAMES)

    def __init__(self, config: LiveConfig) -> None:
        service = config.pubmed
        key = read_key(service.api_key_env)
        rate = service.requests_per_second or (_RATE_WITH_KEY if key else _RATE_WITHOUT_KEY)
        limits = Limits(rate, 1.0, concurrency=config.concurrency)
        self._service = WebService(
            "PubMed", service.base_url, config, limits, key_name=service.api_key_env
        )
        # NCBI asks callers to identify themselves with every request.
        form = {"db": "pubmed", "tool": service.tool, "email": service.email, "api_key": key}
        self._common_form = {name: value for name, value in form.items() if value}

    async def find_documents(self, query: LiveQuery) -> list[Document]:
        """See ``live.source.LiveSource``.

        Where no citation has all the words of a question, the search is loosened.
        """
        pmids = await search_widening(
            lambda words: self._search_pmids(words, query), loosen_query(query.query)
        )
        return await self._fetch_citations(pmids) if pmids else []

    async def _search_pmids(self, words: str, query: LiveQuery) -> list[str]:
        form = {
            **self._common_form,
            "term": _build_term(words, query.types),
            "retmode": "json",
            "retmax": str(query.count),
            "sort": "relevance",
        }
        if query.is_dated:
            form["datetype"] = "pdat"
            form["mindate"] = f"{query.first_day:%Y/%m/%d}"
            form["maxdate"] = f"{query.last_day:%Y/%m/%d}"
        request = ServiceRequest("POST", "esearch.fcgi", form=form)
        pmids = await self._service.request(request, _parse_pmids)
        return pmids[: query.count]

    async def _fetch_citations(self, pmids: list[str]) -> list[Document]:
        form = {**self._common_form, "id": ",".join(pmids), "retmode": "xml"}
        request = ServiceRequest("POST", "efetch.fcgi", form=form)
        citations = await self._service.request(request, _parse_citations)
        # efetch has an order of its own; that of esearch is by relevance.
        places = {pmid: place for place, pmid in enumerate(pmids)}
        requested = [citation for citation in citations if citation.pmid in places]
        requested.sort(key=lambda citation: places[citation.pmid])
        return documents_with_abstract(requested)


def _build_term(words: str, types: tuple[str, ...]) -> str:
    """The query, narrowed to publication types."""
    names = [f'"{name}"[pt]' for kind in types for name in _TYPE_NAMES.get(kind, ())]
    return f"({words}) AND ({' OR '.join(names)})" if names else words


def _parse_pmids(response: ServiceResponse) -> list[str]:
    result = parse_json_body(response.body, _SearchBody).esearchresult
    if result.ERROR:
        # esearch reports its failures with status 200.
        raise DataError("esearch found itself unable to search")
    # ``isdigit`` alone takes digits of other scripts too.
    return [pmid for pmid in result.idlist if pmid.isascii() and pmid.isdigit()]


def _parse_citations(response: ServiceResponse) -> list[Citation]:
    """DataError when the answer is cut off or has no citation that can be read."""
    records = list(medline.read_records(io.BytesIO(response.body)))
    return parse_rows(records, lambda record: medline.parse_citation(record, PUBMED))
