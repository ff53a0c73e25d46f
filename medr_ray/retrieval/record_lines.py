"""Lines of records, read back into what they state: the inverse of how ``registry_records`` and
``disease_records`` render them.

A snippet or a quotation joins lines by spaces; they are parted where a field of the registry
begins. A line that was cut states only what its whole fields say. In a quotation one line may have
several values ("country: Belgium | France"), each of which is a line of the record.
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from medr_ray.core.records import FactSource
from medr_ray.retrieval.disease_records import read_line, split_lines
from medr_ray.retrieval.documents import REGISTRY_PREFIXES
from medr_ray.retrieval.registry_records import (
    AS_OF,
    NAME,
    REGISTRY_NAMES,
    RESULTS_REFERENCE,
    SUBJECT,
    VALUE,
)
from medr_ray.retrieval.snippets import ELLIPSIS

# The predicate of each field, in the words of ``registry_records.word_field``. A field that stands
# for several predicates has an entry in ``_CHOICES`` too, one that is not read has "".
FIELD_PREDICATES: Mapping[FactSource, Mapping[str, str]] = {
    "clinical_trials": {
        "acronym": "trial_acronym",
        "affiliation": "affiliation",
        "allocation": "allocation",
        "brief title": "trial_title",
        "collaborators name": "collaborator",
        "completion date": "completion_date",
        "conditions": "studies_condition",
        "country": "trial_country",
        "enrollment count": "enrolment",
        "facility": "trial_site",
        "intervention names": "arm_intervention",
        "interventions name": "studies_intervention",
        "label": "trial_arm",
        "lead sponsor name": "lead_sponsor",
        "masking": "masking",
        "measure": "primary_outcome",
        "num affected": "adverse_event",
        "official title": "official_title",
        "overall officials name": "overall_official",
        "overall status": "overall_status",
        "phases": "trial_phase",
        "pmid": "cites_paper",
        "primary completion date": "primary_completion_date",
        "serious num affected": "serious_adverse_events",
        "start date": "start_date",
        "study type": "study_type",
        "value": "primary_outcome_result",
    },
    "drugs_at_fda": {
        "active ingredient": "active_ingredient",
        "drug name": "trade_name",
        "marketing status lookup": "marketing_status",
        "product no": "has_product",
        "review priority": "review_priority",
        "sponsor name": "application_sponsor",
        "submission class lookup": "submission_class",
        "submission status date": "original_approval_date",
    },
    "orange_book": {
        "applicant full name": "product_applicant",
        "approval date": "product_approval_date",
        "drug product flag": "patent_claim",
        "drug substance flag": "patent_claim",
        "exclusivity date": "exclusivity_end_date",
        "patent expire date text": "patent_expiry_date",
        "patent no": "protected_by_patent",
    },
    "orphanet": {
        "HPO id": "has_finding",
        "average age of death name": "age_of_death",
        "average age of onset name": "onset_period",
        "disorder group name": "disorder_group",
        "disorder type name": "disorder_type",
        "prevalence class name": "has_prevalence",
        "type of inheritance name": "has_inheritance",
        "val moy": "",  # of a prevalence, an incidence or a number of cases
    },
    # The fields of a monograph are its sections, whose names are no closed list: what a line
    # states, its value says.
    "livertox": {"pmids": "monograph_cites"},
}
_SOURCES: Mapping[str, FactSource] = {
    prefix: source for source, prefix in REGISTRY_PREFIXES.items()
}
# The fields of which a quotation may have several values in a line: names and numbers that do not
# have the sign between them.
_LISTED_FIELDS = frozenset({"conditions", "country", "patent no", "pmid", "pmids"})
_BETWEEN_VALUES = " | "
# Before a qualifier of a line; a value may have a semicolon too.
_QUALIFIER_BREAK = re.compile(r"; (?=(?:[a-z_]+|as of): )")
# A section of a monograph that states a score or an approval.
_SECTION = r"(?:[a-z]+ ){0,6}[a-z]+(?=: (?:Likelihood score|[^:;]{1,100} approv(?:ed|al)))"
_LIKELIHOOD = "Likelihood score"
_YEAR = re.compile(r"\d{4}")
_NO_SUBSTANCE = re.compile(
    r"\b(?:placebo|sham|no (?:intervention|treatment)|saline|vehicle)\b", re.IGNORECASE
)
_SUBSTANCE_TYPES = frozenset(
    {"DRUG", "BIOLOGICAL", "DIETARY_SUPPLEMENT", "COMBINATION_PRODUCT", "GENETIC"}
)
_INCIDENCE = "Annual incidence"


@dataclass(frozen=True)
class RecordLine:
    """What a line states.

    ``name`` is the object's name, or a value as printed; ``value`` is the value in the form of the
    registry's facts where the line has both, else as printed. ``subject`` names what the line is
    about where that is not the record's own. ``as_of`` is the ISO date of an earlier edition, or
    "".
    """

    predicate: str
    printed: str
    name: str
    value: str
    subject: str = ""
    as_of: str = ""
    qualifiers: tuple[tuple[str, str], ...] = ()

    def qualifier(self, name: str) -> str:
        """The value of a qualifier; "" where the line does not have it."""
        return dict(self.qualifiers).get(name, "")


def read_record_lines(document_id: str, text: str, title: str = "") -> list[RecordLine]:
    """What the lines of a record state that a snippet or a quotation joins; [] for a document that
    is no record, or whose lines are sections. ``title`` is the document's: its line may be among
    them."""
    if document_id.partition(":")[0] not in _SOURCES:
        return []
    source = find_source(document_id)
    if source == "hpo":
        return [line for part in split_lines(text) if (line := _read_annotation(part))]
    if source not in FIELD_PREDICATES:
        return []
    parts = [part for joined in _split_lines(source, text, title) for part in _split_values(joined)]
    lines = [_read_line(source, part) for part in parts]
    return [line for line in lines if line is not None]


def split_record_lines(document_id: str, text: str, title: str = "") -> list[str]:
    """The lines of a record that a snippet or a quotation joins, as they are printed; [] for a
    document that is no record (see ``read_record_lines``)."""
    if document_id.partition(":")[0] not in _SOURCES:
        return []
    source = find_source(document_id)
    if source == "hpo":
        return [part for part in split_lines(text.removesuffix(f" {title}")) if part.strip()]
    if source not in FIELD_PREDICATES:
        return []
    return _split_lines(source, text, title)


def join_values(lines: Iterable[str]) -> list[str]:
    """The lines of a record with the values of a field in one line where all else in them is equal:
    "country: Belgium | France"."""
    values: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        field, _, stated = line.partition(": ")
        value, separator, others = stated.partition("; ")
        if field in _LISTED_FIELDS:
            values.setdefault((field, separator + others), []).append(value)
        else:
            values[line, ""] = []
    return [
        f"{field}: {_BETWEEN_VALUES.join(listed)}{others}" if listed else field
        for (field, others), listed in values.items()
    ]


def _split_values(line: str) -> list[str]:
    """A line for each of the values that ``join_values`` gave one."""
    field, separator, stated = line.partition(": ")
    if field not in _LISTED_FIELDS:
        return [line]
    values, between, others = stated.partition("; ")
    if values.endswith(ELLIPSIS):
        # What all of them have in common may be missing: it states nothing.
        return [line]
    return [
        f"{field}{separator}{value}{between}{others}" for value in values.split(_BETWEEN_VALUES)
    ]


def find_source(document_id: str) -> FactSource:
    """Whose record a document is. KeyError where it is no record."""
    return _SOURCES[document_id.partition(":")[0]]


def _read_annotation(text: str) -> RecordLine | None:
    stated = read_line(text)
    if stated is None:
        return None
    predicate, name, clinical = stated
    qualifiers = (("frequency", clinical),) if clinical else ()
    return RecordLine(predicate, name, name, name, qualifiers=qualifiers)


def _split_lines(source: FactSource, text: str, title: str) -> list[str]:
    """The parts that begin with a field; what is before the first is none."""
    if title:
        # A snippet has the title last, a quotation first.
        text = text.removesuffix(f" {title}")
    beginnings = [
        match.start(1)
        for match in _find_fields(source).finditer(text)
        # Behind a separator it is a qualifier of the line before.
        if not text[: match.start()].endswith(";")
    ]
    spans = itertools.pairwise([*beginnings, len(text)])
    return [text[start:end].strip() for start, end in spans]


@functools.cache
def _find_fields(source: FactSource) -> re.Pattern[str]:
    # The longest first, because "completion date" ends "primary completion date".
    # The name of the registry begins the line with the record's number.
    fields = sorted([*FIELD_PREDICATES[source], REGISTRY_NAMES[source]], key=len, reverse=True)
    alternatives = [*map(re.escape, fields)]
    if source == "livertox":
        alternatives.append(_SECTION)
    return re.compile(rf"(?:^| )((?:{'|'.join(alternatives)}): )")


def _read_line(source: FactSource, text: str) -> RecordLine | None:
    if text.endswith(ELLIPSIS):
        # What is behind the last separator may miss its end.
        text, separator, _ = text.rpartition("; ")
        if not separator:
            return None
    first, *others = _QUALIFIER_BREAK.split(text)
    field, separator, printed = first.partition(": ")
    if not separator or not printed:
        return None
    stated: dict[str, str] = {}
    for part in others:
        name, _, value = part.partition(": ")
        stated.setdefault(name, value)
    line = RecordLine(
        FIELD_PREDICATES[source].get(field, ""),
        printed,
        stated.pop(NAME, printed),
        stated.pop(VALUE, printed),
        stated.pop(SUBJECT, ""),
        stated.pop(AS_OF, ""),
        tuple(stated.items()),
    )
    choose = _CHOICES.get((source, field)) or _SOURCE_CHOICES.get(source)
    predicate = choose(line) if choose else line.predicate
    if not predicate:
        return None
    return RecordLine(
        predicate,
        line.printed,
        line.name,
        line.value,
        line.subject,
        line.as_of,
        line.qualifiers,
    )


# --- fields that stand for several predicates -----------------------------------------


def _choose_intervention(line: RecordLine) -> str:
    if line.name == line.printed and _NO_SUBSTANCE.search(line.printed):
        return "other_intervention"
    is_substance = line.name != line.printed
    is_substance |= line.qualifier("intervention_type") in _SUBSTANCE_TYPES
    return "studies_intervention" if is_substance else "other_intervention"


def _choose_reference(line: RecordLine) -> str:
    is_report = line.qualifier(RESULTS_REFERENCE[0]) == RESULTS_REFERENCE[1]
    return "reports_results_in" if is_report else "cites_paper"


def _choose_approval(line: RecordLine) -> str:
    is_bound = line.printed.startswith("Approved Prior")
    return "product_approved_before" if is_bound else "product_approval_date"


def _choose_epidemiology(line: RecordLine) -> str:
    return "has_incidence" if line.qualifier("kind") == _INCIDENCE else "has_prevalence"


def _choose_monograph_statement(line: RecordLine) -> str:
    if line.predicate:
        return line.predicate
    if line.printed.startswith(_LIKELIHOOD) and line.value != line.printed:
        is_of_use = bool(line.qualifier("use"))
        return "liver_injury_likelihood_in_use" if is_of_use else "liver_injury_likelihood"
    return "us_approval_year" if _YEAR.fullmatch(line.value) else ""


_CHOICES: Mapping[tuple[FactSource, str], Callable[[RecordLine], str]] = {
    ("clinical_trials", "interventions name"): _choose_intervention,
    ("clinical_trials", "pmid"): _choose_reference,
    ("orange_book", "approval date"): _choose_approval,
    ("orphanet", "prevalence class name"): _choose_epidemiology,
}
_SOURCE_CHOICES: Mapping[FactSource, Callable[[RecordLine], str]] = {
    "livertox": _choose_monograph_statement,
}
