"""PubMed by E-utilities: esearch finds PMIDs, efetch gives the citations.

What holds: at most 3 requests a second, 10 with a key, whoever asks in the cluster; requests are
POST, so that the key stands in no address; citations without an abstract are left out, as in the
index; XML is read by ``corpus.medline``, which fetches and expands no entity, and a record that it
cannot read does not hide the others.

Format: NCBI, Entrez Programming Utilities Help (NBK25499).
"""

import io

from pydantic import BaseModel

from medr_ray.core.config import LiveConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation
from medr_ray.corpus import medline
from medr_ray.governor.gate import Limits
from medr_ray.retrieval.documents import PUBMED, Document, with_abstract
from medr_ray.retrieval.live.service import Ask, Reply, Service, key_in, read_json, read_rows
from medr_ray.retrieval.live.source import Inquiry, widening
from medr_ray.retrieval.query_text import loosened

_WITHOUT_KEY, _WITH_KEY = 3.0, 10.0  # requests a second that NCBI allows
_NAMES = {  # of publication types, by the kind of evidence they make
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


class _Result(BaseModel):
    idlist: list[str] = []
    ERROR: str = ""


class _Search(BaseModel):
    esearchresult: _Result


class PubMed:
    """PubMed as a source."""

    name = PUBMED
    kinds = frozenset(_NAMES)

    def __init__(self, config: LiveConfig) -> None:
        own = config.pubmed
        self._key = key_in(own.api_key_env)
        rate = own.requests_per_second or (_WITH_KEY if self._key else _WITHOUT_KEY)
        self._service = Service(
            "PubMed",
            own.base_url,
            config,
            Limits(rate, 1.0, concurrency=config.concurrency),
            key_name=own.api_key_env,
        )
        said = {"db": "pubmed", "tool": own.tool, "email": own.email, "api_key": self._key}
        self._said = {name: value for name, value in said.items() if value}

    async def documents(self, inquiry: Inquiry) -> list[Document]:
        """See ``live.source.Source``. A question whose words no citation holds all of is asked more
        loosely."""
        pmids = await widening(lambda words: self._search(words, inquiry), loosened(inquiry.query))
        return await self._fetch(pmids) if pmids else []

    async def _search(self, words: str, inquiry: Inquiry) -> list[str]:
        form = {
            "term": _term(words, inquiry.types),
            "retmode": "json",
            "retmax": str(inquiry.count),
            "sort": "relevance",
        }
        if inquiry.is_dated:
            form |= {
                "datetype": "pdat",
                "mindate": f"{inquiry.first_day:%Y/%m/%d}",
                "maxdate": f"{inquiry.last_day:%Y/%m/%d}",
            }
        pmids = await self._service.ask(
            Ask("POST", "esearch.fcgi", form={**self._said, **form}), _pmids
        )
        return pmids[: inquiry.count]

    async def _fetch(self, pmids: list[str]) -> list[Document]:
        form = {"id": ",".join(pmids), "retmode": "xml"}
        citations = await self._service.ask(
            Ask("POST", "efetch.fcgi", form={**self._said, **form}), _citations
        )
        place = {pmid: number for number, pmid in enumerate(pmids)}
        known = [one for one in citations if one.pmid in place]
        return with_abstract(sorted(known, key=lambda one: place[one.pmid]))


def _term(words: str, types: tuple[str, ...]) -> str:
    """The query, narrowed to publication types."""
    names = [f'"{name}"[pt]' for kind in types for name in _NAMES.get(kind, ())]
    return f"({words}) AND ({' OR '.join(names)})" if names else words


def _pmids(reply: Reply) -> list[str]:
    result = read_json(reply.body, _Search).esearchresult
    if result.ERROR:
        raise DataError("esearch found itself unable to search")
    return [one for one in result.idlist if one.isascii() and one.isdigit()]


def _citations(reply: Reply) -> list[Citation]:
    """Raises DataError when the answer is cut off or holds no citation that can be read."""
    records = list(medline.read_records(io.BytesIO(reply.body)))
    return read_rows(records, lambda record: medline.parse_citation(record, PUBMED))
