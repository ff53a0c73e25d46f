"""openFDA: drug labels and the approvals of Drugs@FDA, two endpoints of one service.

What holds: each word of a query is quoted, so none is read as search syntax; 404 with NOT_FOUND is
an answer, there are no matches; the key travels as the user name of basic authentication. The
service gives the latest version of a label and all submissions of an application: years and the
cut-off count from the label's version and the latest submission, as in the index.

Format: https://open.fda.gov/apis/ (query syntax, drug/label, drug/drugsfda).
"""

import base64
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from medr_ray.core.config import LiveConfig
from medr_ray.core.errors import DataError
from medr_ray.governor.gate import Limits
from medr_ray.retrieval.documents import FDA_APPROVALS, FDA_LABELS, Document
from medr_ray.retrieval.live.service import Ask, Reply, Service, Words, key_in, read_json, read_rows
from medr_ray.retrieval.live.source import Inquiry, widening
from medr_ray.retrieval.query_text import telling_words
from medr_ray.retrieval.readers.approvals import Application, from_application
from medr_ray.retrieval.readers.labels import from_label
from medr_ray.retrieval.readers.plain_records import parsed

T = TypeVar("T")
_FOUND, _NOT_FOUND = 200, 404
_ORIGINAL, _APPROVED = "ORIG", "AP"


class FdaLabels:
    """Drug labels as a source."""

    name = FDA_LABELS
    kinds = frozenset({"label"})
    _most = 10  # at once: a label has a hundred kilobytes and more

    def __init__(self, config: LiveConfig) -> None:
        self._labels = _Endpoint(
            config,
            "drug/label.json",
            ("openfda.brand_name", "openfda.generic_name", "openfda.substance_name"),
            "effective_time",
        )

    async def documents(self, inquiry: Inquiry) -> list[Document]:
        """See ``live.source.Source``."""
        return await self._labels.found(inquiry, from_label, min(inquiry.count, self._most))


class FdaApprovals:
    """Applications to the FDA as a source."""

    name = FDA_APPROVALS
    kinds = frozenset({"record"})

    def __init__(self, config: LiveConfig) -> None:
        self._applications = _Endpoint(
            config,
            "drug/drugsfda.json",
            ("products.brand_name", "products.active_ingredients.name", "openfda.generic_name"),
            "submissions.submission_status_date",
        )

    async def documents(self, inquiry: Inquiry) -> list[Document]:
        """See ``live.source.Source``. openFDA finds an application by any of its submissions, the
        latest counts."""
        found = await self._applications.found(inquiry, application, inquiry.count)
        span = f"{inquiry.first_day}", f"{inquiry.last_day}"
        return [
            from_application(one)
            for one in found
            if not inquiry.is_dated or span[0] <= one.last <= span[1]
        ]


class _Endpoint:
    """An endpoint by its path; ``names`` are the fields that hold names of drugs, ``dates`` the
    field of the dates that count."""

    def __init__(self, config: LiveConfig, path: str, names: tuple[str, ...], dates: str) -> None:
        own, self._path, self._names, self._dates = config.openfda, path, names, dates
        key = key_in(own.api_key_env)
        headers = (
            {"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"}
            if key
            else {}
        )
        limits = Limits(own.requests_per_minute, concurrency=config.concurrency)
        self._service = Service(
            "openFDA", own.base_url, config, limits, key_name=own.api_key_env, headers=headers
        )

    async def found(self, inquiry: Inquiry, read: Callable[[Any], T], count: int) -> list[T]:
        """Records that say all of the query's words; where there are none, those of drugs named by
        any of them."""
        words = [f'"{word}"' for word in telling_words(inquiry.query)]
        named = " OR ".join(f"{name}:({' OR '.join(words)})" for name in self._names)
        return await widening(
            lambda search: self._ask(search, inquiry, read, count), (" AND ".join(words), named)
        )

    async def _ask(
        self, search: str, inquiry: Inquiry, read: Callable[[Any], T], count: int
    ) -> list[T]:
        if inquiry.is_dated:
            search = f"({search}) AND {self._dates}:[{inquiry.first_day:%Y%m%d} TO {inquiry.last_day:%Y%m%d}]"
        ask = Ask("GET", self._path, {"search": search, "limit": str(count)})
        return await self._service.ask(
            ask,
            lambda reply: read_rows(_results(reply)[:count], read),
            accepted=(_FOUND, _NOT_FOUND),
        )


class _Answer(BaseModel):
    results: list[Any] = []
    error: dict[str, Any] = {}


def _results(reply: Reply) -> list[Any]:
    answer = read_json(reply.body, _Answer)
    if reply.status == _NOT_FOUND and answer.error.get("code") != "NOT_FOUND":
        raise DataError(
            "a 404 that does not say that there are no matches: see tools.live.openfda.base_url"
        )
    return answer.results


class _Ingredient(BaseModel):
    name: Words = ""
    strength: Words = ""


class _Product(BaseModel):
    product_number: Words = ""
    brand_name: Words = ""
    active_ingredients: list[_Ingredient] = []
    dosage_form: Words = ""
    route: Words = ""
    marketing_status: Words = ""


class _Submission(BaseModel):
    submission_type: Words = ""
    submission_status: Words = ""
    submission_status_date: Words = ""
    review_priority: Words = ""
    submission_class_code_description: Words = ""

    @property
    def is_dated(self) -> bool:
        return len(self.submission_status_date) == 8 and self.submission_status_date.isdecimal()

    @property
    def date(self) -> str:
        """As YYYY-MM-DD; openFDA writes it without hyphens."""
        day = self.submission_status_date
        return f"{day[:4]}-{day[4:6]}-{day[6:8]}"


class _Record(BaseModel):
    application_number: str = Field(pattern=r"^[A-Z]+[0-9]+$")
    sponsor_name: Words = ""
    products: list[_Product] = []
    submissions: list[_Submission] = []


def application(row: Any) -> Application:
    """An application as ``readers.approvals`` knows it and in its wording. DataError for a record
    that is none."""
    record = parsed(_Record, row)
    number = record.application_number.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    one = Application(number, record.application_number.removesuffix(number), record.sponsor_name)
    for product in record.products:
        one.names[product.brand_name] = None
        one.ingredients["; ".join(part.name for part in product.active_ingredients)] = None
        one.products.append(_told(product))
    approved = [
        sent for sent in record.submissions if sent.submission_status == _APPROVED and sent.is_dated
    ]
    for sent in sorted(approved, key=lambda sent: sent.submission_status_date):
        _add(one, sent)
    return one


def _told(product: _Product) -> str:
    strengths = ", ".join(part.strength for part in product.active_ingredients)
    return _joined(
        f"{product.product_number} {product.brand_name}",
        product.dosage_form.lower(),
        product.route.lower(),
        strengths,
        product.marketing_status.lower(),
    )


def _add(one: Application, sent: _Submission) -> None:
    """The original approval, or a supplement."""
    if sent.submission_type == _ORIGINAL and not one.approval:
        review = (
            f"{sent.review_priority.lower()} review"
            if sent.review_priority in ("PRIORITY", "STANDARD")
            else ""
        )
        one.approval = _joined(
            f"{one.kind} approved on {sent.date}", sent.submission_class_code_description, review
        )
    else:
        one.supplements.append(f"{sent.date} {sent.submission_class_code_description}".strip())
    one.last = max(one.last, sent.date)


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, map(str.strip, parts)))
