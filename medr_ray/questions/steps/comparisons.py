"""Steps that compare two drugs of one class, by approval and by protection."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.questions.steps.approvals import (
    find_first_application,
    find_first_approval_date,
    find_first_approval_year,
    read_date,
)
from medr_ray.questions.steps.kinds import (
    Cues,
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    count_years,
)
from medr_ray.questions.steps.protection import ORANGE_BOOK, find_last_patent_expiry

# Ends of international nonproprietary names that stand for a pharmacological class (World Health
# Organization, "Stem Book"), of one mechanism or structure and much the same use: kinase inhibitors
# ("-tinib") treat too many diseases.
_CLASS_STEMS = (
    *("asvir", "azepam", "barbital", "buvir", "caine", "ciclib", "ciclovir", "cillin", "conazole"),
    *("curonium", "dipine", "dronate", "entan", "fibrate", "floxacin", "gepant", "gliflozin"),
    *("gliptin", "glitazone", "glutide", "grel", "lukast", "metinib", "navir", "olol", "oxetine"),
    *("parib", "parin", "platin", "prazole", "previr", "pril", "rafenib", "rubicin", "sartan"),
    *("semide", "setron", "taxel", "tegravir", "terol", "thiazide", "triptan", "tropium"),
    *("vaptan", "vastatin", "vudine", "xaban", "zolam"),
)

# Further apart, no look-up is needed to say which of two drugs is the older one.
_MAX_YEARS_APART = 3


def _find_class_stem(table: FactTable, drug: str) -> str:
    """The longest of the stems in which the drug's name ends; "" where it ends in none."""
    names = table.names_of(drug)
    name = names[0].casefold() if names else ""
    return max((stem for stem in _CLASS_STEMS if name.endswith(stem)), key=len, default="")


def _propose_drug_pairs(table: FactTable) -> Iterator[tuple[str, ...]]:
    """Pairs of drugs whose names have the stem of one class."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for drug in table.objects("active_ingredient"):
        stem = _find_class_stem(table, drug)
        if stem:
            groups[stem].add(drug)
    pairs = {pair for drugs in groups.values() for pair in itertools.combinations(sorted(drugs), 2)}
    yield from sorted(pairs)


def find_earlier_approved(table: FactTable, first: str, second: str) -> Outcome:
    """Of two drugs of about the same age, the one that the FDA approved in an earlier year."""
    years = []
    facts: list[StatedFact] = []
    for drug in (first, second):
        outcome = find_first_approval_year(table, drug)
        if isinstance(outcome, Refusal):
            return outcome
        years.append(read_date(outcome.value))
        facts += outcome.facts
    if years[0] == years[1]:
        return Refusal("cardinality: both were approved in the same year")
    if abs(int(years[0]) - int(years[1])) > _MAX_YEARS_APART:
        return Refusal("form: which is the older one is known to everybody")
    return Finding(first if years[0] < years[1] else second, tuple(facts))


def find_years_between_approvals(table: FactTable, first: str, second: str) -> Outcome:
    """How many full years lie between the first approvals of two drugs."""
    dates = []
    facts: list[StatedFact] = []
    for drug in (first, second):
        year = find_first_approval_year(table, drug)
        if isinstance(year, Refusal):
            return year
        approved = find_first_approval_date(table, drug)
        if isinstance(approved, Refusal):
            return approved
        facts += year.facts  # those of the date among them
        dates.append(read_date(approved.value))
    return count_years(min(dates), max(dates), tuple(facts))


def find_later_protected(table: FactTable, first: str, second: str) -> Outcome:
    """Of two drugs, the one whose original application has the later last expiry of patents."""
    dates = []
    facts: list[StatedFact] = []
    as_of = ""
    for drug in (first, second):
        application = find_first_application(table, drug)
        if isinstance(application, Refusal):
            return application
        expiry = find_last_patent_expiry(table, application.value)
        if isinstance(expiry, Refusal):
            return expiry
        dates.append(read_date(expiry.value))
        facts += [*application.facts, *expiry.facts]
        as_of = expiry.as_of
    if dates[0][:4] == dates[1][:4]:
        return Refusal("cardinality: the patents of both end in the same year")
    return Finding(first if dates[0] > dates[1] else second, tuple(facts), as_of)


KINDS = (
    StepKind(
        "earlier_approved_drug",
        ("drug", "drug"),
        "drug",
        find_earlier_approved,
        Wording(
            question=(
                "Which did the FDA approve first, {0} or {1}?",
                "Which of {0} and {1} was the first to be approved by the FDA?",
            ),
        ),
        Wording(
            statement=("{0}与{1}之中，有一种更早获得FDA批准。",),
            reference="该药物",
            question=(
                "{0}与{1}，哪一种更早获得FDA批准？",
                "FDA先批准的是{0}，还是{1}？",
            ),
        ),
        ("drugs_at_fda", "livertox"),
        _propose_drug_pairs,
        hops=2,
        offers_answer=True,
        cues=Cues(
            ("first|earlier approve", "approve * first|earlier", "approve & earlier"),
            asides=("several", "two"),
        ),
    ),
    StepKind(
        "later_protected_drug",
        ("drug", "drug"),
        "drug",
        find_later_protected,
        Wording(
            question=(
                "Comparing the original FDA applications for {0} and {1}, for which drug does the "
                "last Orange Book patent expire later?",
            ),
        ),
        Wording(
            question=(
                "{0}与{1}首次获FDA批准的上市申请中，哪种药物的申请在橙皮书中所列专利的最晚到期日较晚？",
            ),
        ),
        ORANGE_BOOK,
        _propose_drug_pairs,
        hops=4,
        offers_answer=True,
        cues=Cues(
            ("patent & expire & later|last",),
            asides=("several", "two", "compare", "first", "application", "approve"),
        ),
    ),
    StepKind(
        "years_between_approvals",
        ("drug", "drug"),
        "number",
        find_years_between_approvals,
        Wording(
            question=("How many full years lie between the first FDA approvals of {0} and {1}?",)
        ),
        Wording(
            question=("{0}与{1}首次获FDA批准的日期相隔多少个整年？",),
        ),
        ("drugs_at_fda", "livertox"),
        _propose_drug_pairs,
        hops=3,
        cues=Cues(
            ("span & years & first approve", "span & years & approve * first"),
            asides=("several", "two", "year", "date", "approve", "first", "after", "later"),
        ),
    ),
)
