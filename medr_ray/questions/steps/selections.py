"""Steps that choose by several facts, of one registry or of two: a drug of a company by its year
and its safety, a drug of a trial by its approval, one of two trials.

What is chosen from is complete: every other member of the set is known not to be meant. No fact is
needless: with one fewer, several members would be.
"""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.questions.steps.approvals import (
    NEW_DRUG_APPLICATION,
    file_date,
    find_drug_of_application,
    find_first_approval_year,
    make_year,
    read_date,
)
from medr_ray.questions.steps.companies import check_company
from medr_ray.questions.steps.kinds import (
    Cues,
    Find,
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    follow,
    take_single,
)
from medr_ray.questions.steps.monographs import PROVISIONAL, find_likelihood
from medr_ray.questions.steps.trials import is_actual, list_drugs

_MAX_CHOICES = 6  # a person can look each of them up
# Two trials of less different size are hardly worth comparing.
_MIN_SIZE_RATIO = 1.1
_PRIORITY = "VALUE:category/PRIORITY"
_YEARS_APART = 5  # from the years of approval on both sides to the year that the question names


# --- drugs of a company ---------------------------------------------------------------


def _list_drugs_of_year(
    table: FactTable, company: str, year: str
) -> dict[str, tuple[StatedFact, ...]] | Refusal:
    """The drugs of the new drug applications of that year that are listed under the company, on the
    market or not, each with the facts of its only application."""
    drugs: dict[str, tuple[StatedFact, ...]] = {}
    for held in table.facts_to("application_sponsor", company):
        approved = table.facts_of("original_approval_date", held.subject)
        if (
            not held.subject.startswith(NEW_DRUG_APPLICATION)
            or not approved
            or read_date(approved[0].object)[:4] != read_date(year)
        ):
            continue
        outcome = find_drug_of_application(table, held.subject)
        # A combination is a drug too, but not one with a property of its own.
        if isinstance(outcome, Refusal):
            return outcome
        if outcome.value in drugs:
            return Refusal("cardinality: several applications for one drug")
        drugs[outcome.value] = (held, approved[0], *outcome.facts)
    if not 2 <= len(drugs) <= _MAX_CHOICES:
        return Refusal(f"hops_needed: {len(drugs)} drugs of the company in that year")
    return drugs


def _find_by_property(find_property: Find, name: str) -> Find:
    def find(table: FactTable, company: str, year: str, date: str, value: str) -> Outcome:
        if (date,) != file_date(table):
            return Refusal("date: who held an application is known for another date")
        problem = check_company(table, company)
        if problem is not None:
            return problem
        drugs = _list_drugs_of_year(table, company, year)
        if isinstance(drugs, Refusal):
            return drugs
        facts: list[StatedFact] = []
        winners = []
        for drug, own in drugs.items():
            outcome = find_property(table, drug, own[0].subject)
            if isinstance(outcome, Refusal):
                return outcome
            facts += (*own, *outcome.facts)
            if outcome.value == value:
                winners.append(drug)
        return take_single(facts, winners, name)

    return find


def _find_score(table: FactTable, drug: str, application: str) -> Outcome:
    outcome = find_likelihood(table, drug)
    if isinstance(outcome, Finding) and outcome.value.endswith(PROVISIONAL):
        return Refusal("cardinality: a score is provisional")
    return outcome


def _find_review(table: FactTable, drug: str, application: str) -> Outcome:
    return follow("review_priority")(table, application)


def _propose_by_property(find_property: Find) -> Callable[[FactTable], Iterator[tuple[str, ...]]]:
    def propose(table: FactTable) -> Iterator[tuple[str, ...]]:
        years_by_company: dict[str, set[str]] = defaultdict(set)
        for application in table.subjects("original_approval_date"):
            for fact in table.facts_of("original_approval_date", application):
                for held in table.facts_of("application_sponsor", application):
                    years_by_company[held.object].add(make_year(read_date(fact.object)[:4]))
        for company, years in sorted(years_by_company.items()):
            for year in sorted(years):
                drugs = _list_drugs_of_year(table, company, year)
                if isinstance(drugs, Refusal):
                    continue
                outcomes = [
                    find_property(table, drug, facts[0].subject) for drug, facts in drugs.items()
                ]
                values = {item.value for item in outcomes if isinstance(item, Finding)}
                for value in sorted(values):
                    yield company, year, *file_date(table), value

    return propose


def _find_priority(table: FactTable, company: str, year: str, date: str) -> Outcome:
    return _find_by_property(_find_review, "drugs of that review")(
        table, company, year, date, _PRIORITY
    )


def _propose_company_years(table: FactTable) -> Iterator[tuple[str, ...]]:
    for company, year, date, value in _propose_by_property(_find_review)(table):
        if value == _PRIORITY:
            yield company, year, date


# --- drugs of a trial -----------------------------------------------------------------


def _list_several_drugs(table: FactTable, trial: str) -> list[str] | Refusal:
    drugs = list_drugs(table, trial)
    if not 2 <= len(drugs) <= _MAX_CHOICES or table.facts_of("studies_among_others", trial):
        return Refusal(f"cardinality: {len(drugs)} drugs under study")
    return drugs


def find_drug_approved_before(table: FactTable, trial: str, year: str) -> Outcome:
    """Of the drugs of a trial, the one that the FDA first approved before a year. Each of them has
    been approved, the others well after it."""
    drugs = _list_several_drugs(table, trial)
    if isinstance(drugs, Refusal):
        return drugs
    facts: list[StatedFact] = list(table.facts_of("studies_intervention", trial))
    winners = []
    for drug in drugs:
        outcome = find_first_approval_year(table, drug)
        if isinstance(outcome, Refusal):
            return outcome
        facts += outcome.facts
        if read_date(outcome.value) < read_date(year):
            winners.append(drug)
    return take_single(facts, winners, "drugs approved before the year")


def _propose_trials_and_years(table: FactTable) -> Iterator[tuple[str, ...]]:
    for trial in table.subjects("studies_intervention"):
        drugs = _list_several_drugs(table, trial)
        if isinstance(drugs, Refusal):
            continue
        outcomes = [find_first_approval_year(table, drug) for drug in drugs]
        years = sorted(int(read_date(o.value)) for o in outcomes if isinstance(o, Finding))
        if len(years) == len(drugs) and years[1] - years[0] >= 2 * _YEARS_APART:
            # A round year between the first approval and the second.
            middle = (years[0] + years[1]) // 2
            yield trial, make_year(str(middle - middle % _YEARS_APART))


# --- two trials -----------------------------------------------------------------------


def _propose_trial_pairs(table: FactTable) -> Iterator[tuple[str, ...]]:
    """Pairs of trials that studied one drug for one condition: each trial with the next in an order
    of its own, so that there are no more pairs than trials."""
    groups: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for drug in table.objects("studies_intervention"):
        for fact in table.facts_to("studies_intervention", drug):
            for condition in table.facts_of("studies_condition", fact.subject):
                groups[drug, condition.object].add(fact.subject)
    pairs = set()
    for trials in groups.values():
        ordered = sorted(trials, key=lambda trial: hashlib.sha256(trial.encode()).hexdigest())
        pairs |= set(itertools.pairwise(ordered))
    yield from sorted(pairs)


def find_larger_trial(table: FactTable, first: str, second: str) -> Outcome:
    """Of two trials, the one that enrolled more participants."""
    facts = []
    for trial in (first, second):
        actual = [fact for fact in table.facts_of("enrolment", trial) if is_actual(fact)]
        if len(actual) != 1 or not actual[0].number:
            return Refusal("cardinality: no actual enrolment")
        facts.append(actual[0])
    numbers = [fact.number or 0.0 for fact in facts]
    if max(numbers) < _MIN_SIZE_RATIO * min(numbers):
        return Refusal("cardinality: both trials are of about the same size")
    return Finding(first if numbers[0] > numbers[1] else second, tuple(facts))


def find_earlier_trial(table: FactTable, first: str, second: str) -> Outcome:
    """Of two trials, the one that started first."""
    facts = []
    for trial in (first, second):
        actual = [fact for fact in table.facts_of("start_date", trial) if is_actual(fact)]
        if len(actual) != 1:
            return Refusal("cardinality: no actual start")
        facts.append(actual[0])
    months = [read_date(fact.object)[:7] for fact in facts]
    if months[0] == months[1] or min(map(len, months)) < len("2019-08"):
        return Refusal("cardinality: both trials started in the same month")
    return Finding(first if months[0] < months[1] else second, tuple(facts))


KINDS = (
    StepKind(
        "drug_of_company_by_year_and_score",
        ("company", "year", "date", "category"),
        "drug",
        _find_by_property(_find_score, "drugs of that score"),
        Wording(
            statement=(
                "Of the drugs whose new drug applications of {1} Drugs@FDA lists under {0} on {2}, "
                "only one has a LiverTox likelihood score of {3}.",
            ),
            noun=(
                "the drug with a LiverTox likelihood score of {3} among those whose new "
                "drug applications of {1} Drugs@FDA lists under {0} on {2}",
            ),
            reference="that drug",
            question=(
                "Of the drugs whose new drug applications of {1} Drugs@FDA lists under {0} on {2}, "
                "which has a LiverTox likelihood score of {3}?",
            ),
        ),
        Wording(
            statement=(
                "Drugs@FDA（截至{2}）中列于{0}名下、于{1}获批的新药申请（NDA）所涉药物中，只有一种的肝损伤可能性"
                "评分（LiverTox）为{3}。",
            ),
            reference="该药物",
            question=(
                "Drugs@FDA（截至{2}）中列于{0}名下、于{1}获批的新药申请（NDA）所涉药物中，哪一种的肝损伤可能性评分"
                "（LiverTox）为{3}？",
            ),
        ),
        ("drugs_at_fda", "livertox"),
        _propose_by_property(_find_score),
        hops=3,
        cues=Cues(
            ("application & company & year & category",),
            asides=("several", "approve", "hold", "score", "likelihood", "liver_injury"),
        ),
    ),
    StepKind(
        "drug_of_company_with_priority_review",
        ("company", "year", "date"),
        "drug",
        _find_priority,
        Wording(
            statement=(
                "Of the drugs whose new drug applications of {1} Drugs@FDA lists under {0} on {2}, "
                "only one had priority review.",
            ),
            noun=(
                "the drug that had priority review among those whose new drug applications "
                "of {1} Drugs@FDA lists under {0} on {2}",
            ),
            reference="that drug",
            question=(
                "Of the drugs whose new drug applications of {1} Drugs@FDA lists under {0} on {2}, "
                "which had priority review?",
            ),
        ),
        Wording(
            statement=(
                "Drugs@FDA（截至{2}）中列于{0}名下、于{1}获批的新药申请（NDA）所涉药物中，只有一种获得优先审评。",
            ),
            reference="该药物",
            question=(
                "Drugs@FDA（截至{2}）中列于{0}名下、于{1}获批的新药申请（NDA）所涉药物中，哪一种获得了优先审评？",
            ),
        ),
        ("drugs_at_fda",),
        _propose_company_years,
        hops=3,
        cues=Cues(
            ("application & company & year & priority_review",),
            asides=("several", "approve", "hold", "review"),
        ),
    ),
    StepKind(
        "drug_of_trial_approved_before",
        ("trial", "year"),
        "drug",
        find_drug_approved_before,
        Wording(
            statement=("Of the drugs studied in {0}, the FDA had approved only one before {1}.",),
            noun=("the drug studied in {0} that the FDA first approved before {1}",),
            reference="that drug",
            question=("Which of the drugs studied in {0} did the FDA first approve before {1}?",),
        ),
        Wording(
            statement=("在{0}所研究的药物中，只有一种在{1}之前首次获FDA批准。",),
            reference="该药物",
            question=("{0}所研究的药物中，哪一种在{1}之前首次获FDA批准？",),
        ),
        ("clinical_trials", "drugs_at_fda", "livertox"),
        _propose_trials_and_years,
        hops=3,
        cues=Cues(
            ("approve & before & day", "approve & before & year"),
            asides=("test", "several", "first * approve", "approve * first", "before"),
        ),
    ),
    StepKind(
        "larger_trial",
        ("trial", "trial"),
        "trial",
        find_larger_trial,
        Wording(
            noun=("whichever of {0} and {1} enrolled more participants",),
            statement=("One of {0} and {1} enrolled more participants than the other.",),
            reference="the larger of them",
            question=("Which enrolled more participants, {0} or {1}?",),
        ),
        Wording(
            statement=("{0}与{1}中，有一项的实际入组人数多于另一项。",),
            reference="人数较多的试验",
            question=("{0}与{1}，哪一项的实际入组人数更多？",),
        ),
        ("clinical_trials",),
        _propose_trial_pairs,
        hops=2,
        offers_answer=True,
        cues=Cues(
            ("higher & participant|enrol", "higher * trial"),
            asides=("participant", "enrol", "several", "two", "compare", "higher", "span"),
        ),
    ),
    StepKind(
        "earlier_trial",
        ("trial", "trial"),
        "trial",
        find_earlier_trial,
        Wording(
            noun=("whichever of {0} and {1} started first",),
            statement=("One of {0} and {1} started before the other.",),
            reference="the earlier of them",
            question=("Which started first, {0} or {1}?",),
        ),
        Wording(
            statement=("{0}与{1}中，有一项的启动时间早于另一项。",),
            reference="较早启动的试验",
            question=("{0}与{1}，哪一项启动得更早？",),
        ),
        ("clinical_trials",),
        _propose_trial_pairs,
        hops=2,
        offers_answer=True,
        cues=Cues(
            ("start * first|earlier", "earlier * trial", "first|earlier * start"),
            asides=("several", "two", "compare", "first", "earlier", "start", "span"),
        ),
    ),
)
