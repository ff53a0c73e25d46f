"""openFDA: drug labels and the approvals of Drugs@FDA, two endpoints of one service.

Guarantees: each word of a query is quoted, so none is read as search syntax. 404 with NOT_FOUND is
an answer: there are no matches. The key is sent as the user name of basic authentication. The
service gives the latest version of a label and all submissions of an application, so years and the
cut-off count from the label's version and the latest submission, as in the index.

Format: https://open.fda.gov/apis/ (query syntax, drug/label, drug/drugsfda).
"""

import base64
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from medr_ray.core.config import LiveConfig
from medr_ray.core.errors import DataError
from medr_ray.core.validation_messages import validate_record
from medr_ray.core.variables import read_key
from medr_ray.governor.gate import Limits
from medr_ray.knowledge.registries.drugs_at_fda import Application, DrugProduct, Submission
from medr_ray.retrieval.documents import FDA_APPROVALS, FDA_LABELS, Document
from medr_ray.retrieval.live.service import (
    NullableText,
    ServiceRequest,
    ServiceResponse,
    WebService,
    parse_json_body,
    parse_rows,
)
from medr_ray.retrieval.live.source import LiveQuery, search_widening
from medr_ray.retrieval.query_text import informative_words
from medr_ray.retrieval.readers.approvals import document_from_application
from medr_ray.retrieval.readers.labels import document_from_label

T = TypeVar("T")
_OK = 200
_NOT_FOUND = 404
_MOST_LABELS = 10  # of one search: a label has a hundred kilobytes and more


class FdaLabelsSource:
    """Drug labels as a source."""

    name = FDA_LABELS
    kinds = frozenset({"label"})

    def __init__(self, config: LiveConfig) -> None:
        self._labels = _Endpoint(
            config,
            "drug/label.json",
            name_fields=("openfda.brand_name", "openfda.generic_name", "openfda.substance_name"),
            date_field="effective_time",
        )

    async def find_documents(self, query: LiveQuery) -> list[Document]:
        """See ``live.source.LiveSource``."""
        count = min(query.count, _MOST_LABELS)
        return await self._labels.search(query, document_from_label, count)


class FdaApprovalsSource:
    """Applications to the FDA as a source."""

    name = FDA_APPROVALS
    kinds = frozenset({"record"})

    def __init__(self, config: LiveConfig) -> None:
        self._applications = _Endpoint(
            config,
            "drug/drugsfda.json",
            name_fields=(
                "products.brand_name",
                "products.active_ingredients.name",
                "openfda.generic_name",
            ),
            date_field="submissions.submission_status_date",
        )

    async def find_documents(self, query: LiveQuery) -> list[Document]:
        """See ``live.source.LiveSource``."""
        applications = await self._applications.search(query, parse_application, query.count)
        if query.is_dated:
            # openFDA finds an application by the date of any submission; the latest one counts.
            first_day = str(query.first_day)
            last_day = str(query.last_day)
            applications = [
                application
                for application in applications
                if first_day <= application.newest_date <= last_day
            ]
        return [document_from_application(application) for application in applications]


class _Endpoint:
    """An endpoint by its path.

    ``name_fields`` are the fields with names of drugs, ``date_field`` that of the dates that count.
    """

    def __init__(
        self, config: LiveConfig, path: str, name_fields: tuple[str, ...], date_field: str
    ) -> None:
        self._path = path
        self._name_fields = name_fields
        self._date_field = date_field
        service = config.openfda
        limits = Limits(service.requests_per_minute, concurrency=config.concurrency)
        self._service = WebService(
            "openFDA",
            service.base_url,
            config,
            limits,
            key_name=service.api_key_env,
            headers=_build_headers(read_key(service.api_key_env)),
        )

    async def search(self, query: LiveQuery, parse: Callable[[Any], T], count: int) -> list[T]:
        """Records with all of the query's words, else those of drugs named by any of them."""
        # Quoted, so that AND, OR, NOT, colons and brackets of a question are not syntax.
        words = [f'"{word}"' for word in informative_words(query.query)]
        any_word = " OR ".join(words)
        named = " OR ".join(f"{field}:({any_word})" for field in self._name_fields)
        return await search_widening(
            lambda expression: self._search_expression(expression, query, parse, count),
            (" AND ".join(words), named),
        )

    async def _search_expression(
        self, expression: str, query: LiveQuery, parse: Callable[[Any], T], count: int
    ) -> list[T]:
        if query.is_dated:
            span = f"[{query.first_day:%Y%m%d} TO {query.last_day:%Y%m%d}]"
            expression = f"({expression}) AND {self._date_field}:{span}"
        request = ServiceRequest("GET", self._path, {"search": expression, "limit": str(count)})
        return await self._service.request(
            request,
            lambda response: parse_rows(_parse_results(response)[:count], parse),
            accepted=(_OK, _NOT_FOUND),
        )


def _build_headers(key: str) -> dict[str, str]:
    if not key:
        return {}
    credentials = base64.b64encode(f"{key}:".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


# --- the format: only what is read, in the service's own names -----------------------


class _ResultsBody(BaseModel):
    results: list[Any] = []
    error: dict[str, Any] = {}


def _parse_results(response: ServiceResponse) -> list[Any]:
    body = parse_json_body(response.body, _ResultsBody)
    # Any server answers a wrong path with 404. openFDA's own answer says NOT_FOUND in its JSON.
    if response.status == _NOT_FOUND and body.error.get("code") != "NOT_FOUND":
        raise DataError(
            "a 404 that does not say that there are no matches: see tools.live.openfda.base_url"
        )
    return body.results


class _Ingredient(BaseModel):
    name: NullableText = ""
    strength: NullableText = ""


class _Product(BaseModel):
    product_number: NullableText = ""
    brand_name: NullableText = ""
    active_ingredients: list[_Ingredient] = []
    dosage_form: NullableText = ""
    route: NullableText = ""
    marketing_status: NullableText = ""


class _Submission(BaseModel):
    submission_type: NullableText = ""
    submission_status: NullableText = ""
    submission_status_date: NullableText = ""
    review_priority: NullableText = ""
    submission_class_code_description: NullableText = ""

    @property
    def is_dated(self) -> bool:
        return len(self.submission_status_date) == 8 and self.submission_status_date.isdecimal()

    @property
    def date(self) -> str:
        """As YYYY-MM-DD; openFDA writes it without hyphens."""
        day = self.submission_status_date
        return f"{day[:4]}-{day[4:6]}-{day[6:8]}"


class _ApplicationBody(BaseModel):
    application_number: str = Field(pattern=r"^[A-Z]+[0-9]+$")
    sponsor_name: NullableText = ""
    products: list[_Product] = []
    submissions: list[_Submission] = []


def parse_application(row: Any) -> Application:
    """An application as Drugs@FDA has it. DataError for a record that is none."""
    record = validate_record(_ApplicationBody, row)
    # "NDA021366" is kind and number in one.
    number = record.application_number.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    kind = record.application_number.removesuffix(number)
    submissions = [submission for submission in record.submissions if submission.is_dated]
    return Application(
        number,
        kind,
        record.sponsor_name,
        tuple(map(_read_product, record.products)),
        tuple(sorted(map(_read_submission, submissions), key=lambda submission: submission.date)),
    )


def _read_product(product: _Product) -> DrugProduct:
    """Semicolons join what Drugs@FDA prints in one column."""
    return DrugProduct(
        number=product.product_number,
        trade_name=product.brand_name,
        ingredients="; ".join(ingredient.name for ingredient in product.active_ingredients),
        form=";".join(filter(None, [product.dosage_form, product.route])),
        strength=", ".join(ingredient.strength for ingredient in product.active_ingredients),
        marketing_statuses=tuple(filter(None, [product.marketing_status])),
    )


def _read_submission(submission: _Submission) -> Submission:
    return Submission(
        kind=submission.submission_type,
        number="",
        status=submission.submission_status,
        date=submission.date,
        class_code="",
        class_description=submission.submission_class_code_description,
        review_priority=submission.review_priority,
    )
