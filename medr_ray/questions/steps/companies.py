"""Steps over companies: the new drug applications that Drugs@FDA lists under them."""

from collections.abc import Iterator

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.questions.steps.approvals import (
    DRUGS_AT_FDA,
    FULL_APPLICATIONS,
    MAX_COUNT,
    NEW_DRUG_APPLICATION,
    RECENT_SINCE,
    file_date,
    find_approval_date,
    is_after_file,
    is_marketed,
    make_year,
    read_date,
)
from medr_ray.questions.steps.kinds import (
    Cues,
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    make_number,
    propose_with_date,
)


def list_company_applications(table: FactTable, company: str, *_: str) -> dict[str, StatedFact]:
    """The new drug applications of a company with a product on the market, with the listing. The
    file also keeps applications whose approval was withdrawn, without saying so."""
    return {
        fact.subject: fact
        for fact in table.facts_to("application_sponsor", company)
        if fact.subject.startswith(NEW_DRUG_APPLICATION) and is_marketed(table, fact.subject)
    }


def check_company(table: FactTable, company: str) -> Refusal | None:
    """A refusal where another sponsor's name begins alike: "Sanofi" and "Sanofi US Services" are
    one company to a reader."""
    stem = company.partition(" ")[0]
    relatives = [
        other
        for other in table.ids_with_prefix(stem)
        if other.partition(" ")[0] == stem and table.facts_to("application_sponsor", other)
    ]
    if len(relatives) > 1:
        return Refusal("cardinality: another sponsor's name begins alike")
    # Companies that were joined, such as King Pharms and King Pfizer, are listed apart.
    listed = {fold_name(fact.printed) for fact in table.facts_to("application_sponsor", company)}
    if len(listed) > 1:
        return Refusal("cardinality: the company is listed under several names")
    return None


def find_latest_application_of_company(table: FactTable, company: str, until: str) -> Outcome:
    """The new drug application of a company that the FDA approved last, up to a date."""
    problem = check_company(table, company)
    if problem is not None:
        return problem
    if is_after_file(table, until):
        return Refusal("date: after the date of the registry's file")
    applications = list_company_applications(table, company)
    dates = {
        application: date
        for application in applications
        if (date := find_approval_date(table, application)) is not None
        and read_date(date.object) <= read_date(until)
    }
    if len(dates) < 2:
        return Refusal("hops_needed: the company has a single application")
    last = max(read_date(fact.object) for fact in dates.values())
    if last < RECENT_SINCE:
        return Refusal("form: the latest approval is of long ago")
    winners = [name for name, fact in dates.items() if read_date(fact.object) == last]
    if len(winners) != 1:
        return Refusal(f"cardinality: {len(winners)} applications of {last}")
    winner = winners[0]
    # Who holds an application changes: the date of the file is the date of the question.
    as_of = applications[winner].as_of
    is_stated = as_of == read_date(until)
    return Finding(winner, (applications[winner], dates[winner]), "" if is_stated else as_of)


def _propose_company_dates(table: FactTable) -> Iterator[tuple[str, ...]]:
    for application in table.subjects("original_approval_date"):
        if application.startswith(FULL_APPLICATIONS):
            for sponsor in table.facts_of("application_sponsor", application):
                for date in table.facts_of("original_approval_date", application):
                    yield sponsor.object, date.object


def count_approvals_in_year(table: FactTable, company: str, year: str) -> Outcome:
    """How many of a company's new drug applications were approved in a year."""
    problem = check_company(table, company)
    if problem is not None:
        return problem
    if read_date(year) < RECENT_SINCE:
        return Refusal("form: approvals of long ago")
    facts: list[StatedFact] = []
    applications = 0
    for application, listing in list_company_applications(table, company).items():
        for approved in table.facts_of("original_approval_date", application):
            if read_date(approved.object)[:4] == read_date(year):
                applications += 1
                facts += (listing, approved)
    if not 2 <= applications <= MAX_COUNT:
        return Refusal(f"form: {applications} approvals")
    value = make_number("applications", applications)
    return Finding(value, tuple(facts), facts[0].as_of)


def _propose_company_years(table: FactTable) -> Iterator[tuple[str, ...]]:
    pairs = {
        (company, make_year(read_date(date)[:4])) for company, date in _propose_company_dates(table)
    }
    yield from sorted(pairs)


KINDS = (
    StepKind(
        "latest_application_of_company",
        ("company", "date"),
        "application",
        find_latest_application_of_company,
        Wording(
            noun=(
                "the latest new drug application with a marketed product listed under {0} in "
                "Drugs@FDA on {1}",
            ),
        ),
        Wording(
            statement=(
                "到{1}为止，Drugs@FDA在{0}名下所列、仍有产品在市的新药申请（NDA）不止一份，其中一份获批最晚。",
            ),
            reference="该最晚获批的申请",
        ),
        DRUGS_AT_FDA,
        propose_with_date("application_sponsor", file_date),
        constants=file_date,
        alternatives=list_company_applications,
        hops=2,
        cues=Cues(
            (
                "company hold? * last approve? market? * application",
                "company hold? * day before? last approve? * application",
                "company hold? * application * approve? last",
                "last approve? * application * market? * hold? * company|sponsor",
                "hold several approve? application & last",
                "hold * market? * application * several & approve last",
            ),
            asides=(
                "approve",
                "hold * several approve? application",
                "application * hold",
                "market",
                "several",
                "approve last",
            ),
        ),
    ),
    StepKind(
        "approvals_of_company_in_year",
        ("company", "year"),
        "number",
        count_approvals_in_year,
        Wording(
            question=(
                "How many new drug applications with a marketed product, approved in {1}, does "
                "Drugs@FDA list under {0}?",
            )
        ),
        Wording(
            question=(
                "Drugs@FDA在{0}名下所列、产品未停产的新药申请（NDA）中，有多少份于{1}获批？",
                "Drugs@FDA中列于{0}名下且产品未停产的新药申请（NDA），有多少份于{1}获批？",
            ),
        ),
        DRUGS_AT_FDA,
        _propose_company_years,
        hops=2,
        cues=Cues(("application & approve",), asides=("hold", "market")),
    ),
)
