"""Our rules for MedBrowseComp: what an answer says for its task, compared in the forms that the
FDA's registries print.

Its official scorer is a language model ("medbrowsecomp"). These rules accept what differs in form:

- the label that the question asks for ("COMPANY: name"), and words around a short answer,
- a company by its legal name, whatever of its legal form is left out ("AbbVie" for ABBVIE INC); two
  different forms are two companies (INC and LTD),
- the year, where the question asks for the year and the answer is a date; a date in any spelling,
- a price to the cent beside a ticker symbol; "NOT LISTED",
- every way to say that there is no answer, where the right answer is "NA".

They accept nothing that is only like it: a further word in a name, another year, several answers.
"""

import functools
import re
import sys
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Literal

from medr_ray.core.records import Task
from medr_ray.evaluation.scorers.base import PureScorer, Score, build_score
from medr_ray.knowledge.registries import companies
from medr_ray.knowledge.registries.companies import parse_company_name
from medr_ray.questions import answer_figures, answer_matching
from medr_ray.questions.answer_matching import answers_match, canonical_form

TASK_KEY = "task"  # of the metadata item that holds the name of the task
Kind = Literal["ingredient", "company", "year", "date", "price", "text"]
_NAME = "medbrowsecomp-rules"
_KINDS: dict[str, Kind] = {
    "ingredient": "ingredient",
    "applicant_full_name": "company",
    "patent_expire_date_text": "date",
    "exclusivity_date": "date",
    "open_on_approval": "price",
}
_ASKS_FOR_YEAR = re.compile(r"\bdate: YYYY\b|\bin YYYY format\b", re.IGNORECASE)
# The labels before the answer of a kind; "answer" is one of every kind.
_LABELS: dict[Kind, str] = {
    "ingredient": "ingredient",
    "company": "company(?: name)?|applicant",
    "date": "(?:(?:patent )?expiration |exclusivity )?date",
    "year": "(?:(?:patent )?expiration |exclusivity )?date|year",
}
_FRAMES = (
    re.compile(r"\\boxed\{(?:\\text\{)?(?P<inside>[^{}]*)\}{1,2}"),
    re.compile(r"<answer>(?P<inside>.*?)</answer>", re.DOTALL),
)
_PREAMBLE = re.compile(
    r"(?:(?:so|thus|therefore|hence),? )?(?:the )?(?:final |correct |exact )?"
    r"(?:(?:answer|ingredient|company(?: name)?|applicant|(?:patent )?(?:expiration |expiry )?date|"
    r"exclusivity date|year)(?: is| was|:)|it is|it's|it was)\s*:?\s*|"
    r"(?:in|on)\s+(?=(?:\w+\s+){0,2}[\d,\s]*\d{4}$)",
    re.IGNORECASE,
)
_EDGE_SIGNS = " \t\r\n*_`\"'“”‘’.。,;:"
# --- no answer
_NO_ANSWERS = frozenset(
    (
        *("na", "n a", "not available", "not applicable", "none", "no data", "unavailable"),
        *("no exclusivity", "no exclusivity date", "no patent", "no expiration date", "no date"),
        *("not applicable na", "not available na", "null", "nan"),
    )
)
_UNKNOWN = "unknown"  # an answer that the questions for an ingredient offer
_NOT_LISTED = "not listed"
_IS_NOT_LISTED = re.compile(
    r"(?:not (?:publicly )?(?:listed|traded)|unlisted|not listed on any (?:us|u s|american) stock "
    r"(?:market|exchange)s?|privately held)"
)
# --- companies
# One of several; "A/S" is a legal form.
_COMPANY_CHOICE = re.compile(r"\bor\b|;| / ", re.IGNORECASE)
# The trading name, owner or division that a name states at its end.
_STATED_NAME = re.compile(
    r"\s(?:dba|d/b/a|div(?:ision)?|su[bd](?:sidiary)?)\s+(?:of\s+)?(?P<name>\w.*)$", re.IGNORECASE
)
# --- dates
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january"),
            ("feb", "february"),
            ("mar", "march"),
            ("apr", "april"),
            ("may",),
            ("jun", "june"),
            ("jul", "july"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "october"),
            ("nov", "november"),
            ("dec", "december"),
        ),
        1,
    )
    for name in names
}
_MONTH_NAMES = "|".join(sorted(_MONTHS, key=len, reverse=True))
_MONTH = rf"(?P<month>{_MONTH_NAMES})\.?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DATE_FORMS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+{_YEAR}",
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of)?\s+{_MONTH},?\s+{_YEAR}",
        rf"{_MONTH},?\s+{_YEAR}",
        rf"{_YEAR}[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})",
        # The questions ask for MM-DD-YYYY.
        rf"(?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})[-/.]{_YEAR}",
        rf"{_YEAR}-(?P<month>\d{{2}})",
        _YEAR,
    )
)
# --- prices
_DATE_IN_TEXT = re.compile(
    rf"\b(?:\d{{1,2}}\s+)?(?:{_MONTH_NAMES})\.?\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?(?:19|20)\d\d\b|"
    r"\b(?:19|20)\d\d-\d{1,2}-\d{1,2}\b|\b\d{1,2}[-/]\d{1,2}[-/](?:19|20)\d\d\b|"
    r"(?<![$.,\d])(?<!\$ )\b(?:19|20)\d\d\b(?![.,]\d)",
    re.IGNORECASE,
)
_PRICE = re.compile(
    r"(?<![\w.])\$?\s?(?P<amount>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\w%])"
)
_LINE_NUMBER = re.compile(r"^\s*\(?\d[.)]\s+", re.MULTILINE)
_CENT = Decimal("0.01")


def matches_medbrowsecomp(task_name: str, question: str, answer: str, prediction: str) -> bool:
    """Whether a prediction is the answer to a question of the task of that name."""
    kind = find_kind(task_name, question)
    extracted = extract_answer(kind, prediction)
    return bool(extracted) and _is_same(kind, extracted, answer)


def find_kind(task_name: str, question: str) -> Kind:
    """What a task asks for."""
    kind = _KINDS.get(_fold_task_name(task_name), "text")
    return "year" if kind == "date" and _ASKS_FOR_YEAR.search(question) else kind


def extract_answer(kind: Kind, prediction: str) -> str:
    """The short answer that a text gives; "" where it gives several different ones.

    That is what follows the label that the questions ask for, or the whole text without its frame
    and preamble.
    """
    text = prediction.strip()
    for frame in _FRAMES:
        inside = frame.findall(text)
        if inside:
            # The last: what comes before are drafts.
            text = inside[-1].strip()
    # Before the preamble goes, which may be a label: all labels count.
    labelled = _list_labelled(kind, text) or _list_labelled(kind, _trim(text))
    if len(labelled) > 1:
        return ""
    return labelled[0] if labelled else _trim(text)


def _list_labelled(kind: Kind, text: str) -> list[str]:
    """The different values behind labels of the kind."""
    values = [_trim(match["value"]) for match in _label_pattern(kind).finditer(text)]
    return list({canonical_form(value): value for value in values if value}.values())


@functools.cache
def _label_pattern(kind: Kind) -> re.Pattern[str]:
    """A line that begins with a label of the kind."""
    labels = "|".join(filter(None, (_LABELS.get(kind), "(?:final |exact )?answer")))
    return re.compile(
        rf"^[\s*_`#>\"'(-]*(?:{labels})s?[*_`]*\s*[:：=]\s*(?P<value>.*)$",
        re.IGNORECASE | re.MULTILINE,
    )


def _trim(text: str) -> str:
    text = text.strip(_EDGE_SIGNS)
    return text[match.end() :].strip(_EDGE_SIGNS) if (match := _PREAMBLE.match(text)) else text


def _fold_task_name(name: str) -> str:
    return name.strip().casefold().removesuffix("_prompt")


def _is_same(kind: Kind, given: str, right: str) -> bool:
    right_words = _list_words(right)
    if right_words in _NO_ANSWERS:
        return _says_no_answer(given, takes_unknown=kind == "ingredient")
    if kind == "ingredient":
        return answers_match(given, right, ())
    if kind == "company":
        return _is_same_company(given, right)
    if kind in ("date", "year"):
        return _is_same_date(given, right, to_the_year=kind == "year")
    if kind == "price":
        return _is_same_price(given, right)
    return answers_match(given, right, ())


def _list_words(text: str) -> str:
    """The words in lower case, joined by single spaces."""
    return " ".join(re.findall(r"[a-z0-9]+", text.casefold()))


def _says_no_answer(given: str, *, takes_unknown: bool) -> bool:
    words = _list_words(given)
    return words in _NO_ANSWERS or (takes_unknown and words == _UNKNOWN)


# --- companies ------------------------------------------------------------------------


def _is_same_company(given: str, right: str) -> bool:
    if _COMPANY_CHOICE.search(given) and not _COMPANY_CHOICE.search(right):
        return False
    given_name = parse_company_name(_open_bracket(given))
    right_name = parse_company_name(right)
    if not given_name.key or given_name.key != right_name.key:
        return False
    return _have_same_forms(given_name.legal_form, right_name.legal_form) and _is_same_if_stated(
        _find_stated_name(given), _find_stated_name(right)
    )


def _have_same_forms(given: str, right: str) -> bool:
    """What one of the two leaves out is no difference; "INC" and "LTD" are."""
    given_forms = set(given.split())
    right_forms = set(right.split())
    return given_forms <= right_forms or right_forms <= given_forms


def _is_same_if_stated(given: str, right: str) -> bool:
    """Whether two names that need not be stated are one company's where both are."""
    if not given or not right:
        return True
    return parse_company_name(given).key == parse_company_name(right).key


def _find_stated_name(name: str) -> str:
    match = _STATED_NAME.search(name)
    return match["name"] if match else ""


def _open_bracket(name: str) -> str:
    """The name with what is in brackets as words of it, unless that is its acronym: another company
    may stand there, before or within."""
    opened = name.replace("(", " ").replace(")", " ")
    match = re.search(r"\(([A-Z]{2,8})\)\s*$", name)
    return name if match else opened


# --- dates ----------------------------------------------------------------------------


def _is_same_date(given: str, right: str, *, to_the_year: bool) -> bool:
    given_date = _parse_date(given)
    right_date = _parse_date(right)
    if given_date is None or right_date is None:
        return False
    if not to_the_year:
        return given_date == right_date
    # What is more exact than asked for must still be right.
    shared = min(len(given_date), len(right_date))
    return given_date[:shared] == right_date[:shared]


def _parse_date(text: str) -> tuple[int, ...] | None:
    """(year, month, day), or as much of it as is stated; None where the text is no date."""
    text = " ".join(text.split())
    for form in _DATE_FORMS:
        match = form.fullmatch(text)
        if match:
            return _read_date(match.groupdict())
    return None


def _read_date(parts: dict[str, str | None]) -> tuple[int, ...] | None:
    year = int(parts["year"] or 0)
    month_text = parts.get("month")
    if month_text is None:
        return (year,)
    month = _MONTHS.get(month_text.casefold()) or int(month_text)
    day_text = parts.get("day")
    day = 1 if day_text is None else int(day_text)
    # "13-08-2027" has its day first: there is no other reading.
    if month > 12 >= day:
        month, day = day, month
    try:
        read = date(year, month, day)
    except ValueError:
        return None
    return (read.year, read.month) if day_text is None else (read.year, read.month, read.day)


# --- prices ---------------------------------------------------------------------------


def _is_same_price(given: str, right: str) -> bool:
    says_not_listed = _IS_NOT_LISTED.search(_list_words(given)) is not None
    amounts = _list_amounts(given)
    if _list_words(right) == _NOT_LISTED:
        return says_not_listed and not amounts
    right_amounts = _list_amounts(right)
    return not says_not_listed and len(amounts) == 1 and amounts == right_amounts


def _list_amounts(text: str) -> set[Decimal]:
    """The amounts in a text, to the cent. Dates and the numbers of lines are none."""
    text = _LINE_NUMBER.sub("", _DATE_IN_TEXT.sub(" ", text))
    amounts = set()
    for match in _PRICE.finditer(text):
        try:
            amounts.add(Decimal(match["amount"].replace(",", "")).quantize(_CENT))
        except InvalidOperation:
            continue  # a number of more digits than any price has
    return amounts


def _compare(task: Task, prediction: str) -> Score:
    task_name = task.metadata_value(TASK_KEY) or ""
    is_correct = matches_medbrowsecomp(task_name, task.text, task.answer, prediction)
    extracted = extract_answer(find_kind(task_name, task.text), prediction)
    return build_score(_NAME, is_correct, extracted)


MEDBROWSECOMP_SCORER = PureScorer(
    _NAME,
    _compare,
    (sys.modules[__name__], companies, answer_matching, answer_figures),
)
