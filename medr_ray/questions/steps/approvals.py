"""Steps over approvals: applications of Drugs@FDA, patents and exclusivities of the Orange Book,
companies."""

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator

from medr_ray.core.records import LiteralValue
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.questions.steps.kinds import (
    Cues,
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    follow,
    make_number,
    propose_objects,
    propose_subjects,
    take_single,
)

_DRUGS_AT_FDA = ("drugs_at_fda",)
_ORANGE_BOOK = ("drugs_at_fda", "orange_book")
FULL_APPLICATIONS = ("FDA:NDA", "FDA:BLA")
NEW_DRUG_APPLICATION = "FDA:NDA"
_GENERIC_APPLICATION = "FDA:ANDA"
# Antibiotics of before 1997, reference products among them, have numbers of this series.
_OLD_ANTIBIOTIC = "FDA:ANDA06"
_MARKETED = ("VALUE:category/Prescription", "VALUE:category/Over-the-counter")
_MAX_COUNT = 12  # what a person can still check
# Older drugs were on the market before the application that the file has of them.
_RELIABLE_SINCE = "1985"
# Ingredients that are no single substance.
_MIXTURE = re.compile(
    r"\b(?:acids|salts|electrolytes|vitamins|allergens?|extracts?|pollens?|oils?|water|dextrose)$",
    re.IGNORECASE,
)
_DATE_PREFIX = "VALUE:date/"


def read_date(value_id: str) -> str:
    """The ISO date of a date's id."""
    return value_id.removeprefix(_DATE_PREFIX)


def make_year(year: str) -> str:
    """The id of a year."""
    return make_value_id(LiteralValue("date", year, precision="year"))


def list_ingredients(table: FactTable, application: str) -> tuple[str, ...]:
    """The active ingredients of all products of an application, each once."""
    return tuple(
        dict.fromkeys(
            fact.object
            for product in table.facts_of("has_product", application)
            for fact in table.facts_of("active_ingredient", product.object)
        )
    )


def list_applications(table: FactTable, drug: str) -> dict[str, tuple[StatedFact, ...]]:
    """The applications whose products have the drug as their only active ingredient, with the facts
    that say so, sorted."""
    applications: dict[str, tuple[StatedFact, ...]] = {}
    for ingredient in table.facts_to("active_ingredient", drug):
        for product in table.facts_to("has_product", ingredient.subject):
            if product.subject in applications:
                continue
            if list_ingredients(table, product.subject) == (drug,):
                applications[product.subject] = (ingredient, product)
    return dict(sorted(applications.items()))


def _approval_date(table: FactTable, application: str) -> StatedFact | None:
    facts = table.facts_of("original_approval_date", application)
    return facts[0] if len(facts) == 1 else None


def _find_approved(
    table: FactTable, drug: str, choose: Callable[..., str], until: str = ""
) -> Outcome:
    """The full application for the drug alone whose approval date is the chosen extreme, of those
    up to a date where one is given."""
    if any(_MIXTURE.search(drug_name) for drug_name in table.names_of(drug)[:1]):
        return Refusal("class: a mixture, or a class of substances")
    applications = {
        application: facts
        for application, facts in list_applications(table, drug).items()
        if application.startswith(FULL_APPLICATIONS)
    }
    if not applications:
        return Refusal("cardinality: no application for the drug alone")
    dated = {application: _approval_date(table, application) for application in applications}
    # One without a date may have been the first, or the last. Tentative approvals have none either.
    if any(
        fact is None and _is_marketed(table, application) for application, fact in dated.items()
    ):
        return Refusal("cardinality: an application has no approval date")
    dates = {
        application: read_date(fact.object)
        for application, fact in dated.items()
        if fact is not None and (not until or read_date(fact.object) <= read_date(until))
    }
    if not dates:
        return Refusal("cardinality: no approval date")
    chosen = choose(dates.values())
    winners = [application for application, date in dates.items() if date == chosen]
    if len(winners) != 1:
        return Refusal(f"cardinality: {len(winners)} applications of {chosen}")
    facts = [*applications[winners[0]]]
    date_fact = dated[winners[0]]
    if date_fact is not None:
        facts.append(date_fact)
    return Finding(winners[0], tuple(facts), facts[0].as_of)


def _is_marketed(table: FactTable, application: str) -> bool:
    return any(
        fact.object in _MARKETED
        for product in table.facts_of("has_product", application)
        for fact in table.facts_of("marketing_status", product.object)
    )


def find_first_application(table: FactTable, drug: str) -> Outcome:
    """The application under which the FDA first approved the drug alone. A first approval does not
    change with the years."""
    outcome = _find_approved(table, drug, min)
    if isinstance(outcome, Refusal):
        return outcome
    if _has_earlier_combination(table, drug, outcome.value):
        return Refusal("cardinality: an application for a combination is as old")
    problem = _find_earlier_year(table, drug, outcome)
    return problem or Finding(outcome.value, outcome.facts)


def _has_earlier_combination(table: FactTable, drug: str, application: str) -> bool:
    """Whether a further full application with the drug among its ingredients is not younger."""
    own = _approval_date(table, application)
    others = {
        product.subject
        for ingredient in table.facts_to("active_ingredient", drug)
        for product in table.facts_to("has_product", ingredient.subject)
        if product.subject.startswith(FULL_APPLICATIONS) and product.subject != application
    }
    dates = [_approval_date(table, other) for other in others]
    return own is None or any(
        date is not None and read_date(date.object) <= read_date(own.object) for date in dates
    )


def find_latest_application(table: FactTable, drug: str, until: str) -> Outcome:
    """The application for the drug alone that the FDA approved last, up to a date."""
    if _is_after_file(table, until):
        return Refusal("date: after the date of the registry's file")
    applications = [
        application
        for application in list_applications(table, drug)
        if application.startswith(FULL_APPLICATIONS)
    ]
    if len(applications) < 2:
        return Refusal("hops_needed: the drug has a single application")
    outcome = _find_approved(table, drug, max, until)
    return outcome if isinstance(outcome, Refusal) else Finding(outcome.value, outcome.facts)


def _is_after_file(table: FactTable, date: str) -> bool:
    return read_date(date) > read_date(file_date(table)[0])


def file_date(table: FactTable) -> tuple[str, ...]:
    """The date of Drugs@FDA's file: what was approved later is not in it."""
    return (make_value_id(LiteralValue("date", table.newest_date("application_sponsor"))),)


def _propose_until(predicate: str) -> Callable[[FactTable], Iterator[tuple[str, ...]]]:
    """Every object of a predicate, with the date of the file."""

    def propose(table: FactTable) -> Iterator[tuple[str, ...]]:
        date = file_date(table)
        for obj in table.objects(predicate):
            yield (obj, *date)

    return propose


def _find_earlier_year(table: FactTable, drug: str, outcome: Finding) -> Refusal | None:
    """A refusal where LiverTox has another year of approval than Drugs@FDA: old applications are
    missing there now and then."""
    years = {read_date(fact.object)[:4] for fact in _list_livertox_years(table, drug)}
    date = _approval_date(table, outcome.value)
    if date is not None and years and read_date(date.object)[:4] not in years:
        return Refusal("contradiction: LiverTox has another year of approval")
    if date is not None and not years and read_date(date.object)[:4] < _RELIABLE_SINCE:
        return Refusal("source: no second source for an approval of long ago")
    if date is not None and years and min(years) < read_date(date.object)[:4]:
        return Refusal("contradiction: LiverTox has an earlier year of approval")
    return None


def _list_livertox_years(table: FactTable, drug: str) -> list[StatedFact]:
    return [
        fact
        for predicate in ("us_approval_year", "first_us_approval_year")
        for fact in table.facts_of(predicate, drug)
    ]


def find_first_approval_year(table: FactTable, drug: str) -> Outcome:
    """The year of the first approval, where Drugs@FDA and LiverTox agree."""
    outcome = find_first_approval_date(table, drug)
    if isinstance(outcome, Refusal):
        return outcome
    year = read_date(outcome.value)[:4]
    agreeing = [
        fact for fact in _list_livertox_years(table, drug) if read_date(fact.object)[:4] == year
    ]
    if not agreeing:
        return Refusal("source: no second source for the year of approval")
    return Finding(make_year(year), (*outcome.facts, agreeing[0]))


def find_first_approval_date(table: FactTable, drug: str) -> Outcome:
    """The day of the first approval."""
    outcome = find_first_application(table, drug)
    if isinstance(outcome, Refusal):
        return outcome
    date = _approval_date(table, outcome.value)
    if date is None:
        return Refusal("cardinality: no approval date")
    return Finding(date.object, outcome.facts)


def find_drug_of_application(table: FactTable, application: str) -> Outcome:
    """The only active ingredient of an application."""
    facts = [
        fact
        for product in table.facts_of("has_product", application)
        for fact in (product, *table.facts_of("active_ingredient", product.object))
    ]
    ingredients = list_ingredients(table, application)
    if len(ingredients) != 1:
        return Refusal(f"cardinality: {len(ingredients)} active ingredients")
    return Finding(ingredients[0], tuple(facts[:2]))


def _find_trade_name(table: FactTable, application: str) -> Outcome:
    """The name that all products of an application are sold under."""
    facts = [
        fact
        for product in table.facts_of("has_product", application)
        for fact in table.facts_of("trade_name", product.object)
    ]
    outcome = take_single(facts, [fact.object for fact in facts], "trade_name", ages=True)
    ingredients = list_ingredients(table, application)
    if isinstance(outcome, Finding):
        name = outcome.value.partition("/")[2].casefold()
        names = [n.casefold() for drug in ingredients for n in table.names_of(drug)]
        if any(name in other or other in name for other in names):
            return Refusal("no_leak: the trade name is that of the ingredient")
    return outcome


def count_generic_applications(table: FactTable, drug: str) -> Outcome:
    """How many abbreviated new drug applications for the drug alone have a product on the market.

    Applications and not companies are counted: of one family of companies the registry lists
    several now and then. All of them have to print the same ingredient, so that no salt or form
    can be taken for another.
    """
    facts: list[StatedFact] = []
    applications = 0
    printed: set[str] = set()
    for application, own in list_applications(table, drug).items():
        if application.startswith(_GENERIC_APPLICATION) and _is_marketed(table, application):
            if application.startswith(_OLD_ANTIBIOTIC):
                return Refusal("class: an old antibiotic application is no generic's for certain")
            applications += 1
            facts += own
            printed.update(
                fact.printed
                for product in table.facts_of("has_product", application)
                for fact in table.facts_of("active_ingredient", product.object)
            )
    if not 2 <= applications <= _MAX_COUNT:
        return Refusal(f"form: {applications} applications")
    if len(printed) > 1:
        return Refusal("cardinality: the ingredient is printed in several ways")
    dates = {fact.as_of for fact in facts}
    return Finding(make_number("applications", applications), tuple(facts), max(dates))


# --- patents and exclusivity ----------------------------------------------------------


def _list_patents(table: FactTable, application: str) -> dict[str, StatedFact]:
    """The patents listed for the products of an application, with the listing, newest edition
    alone."""
    facts = [
        fact
        for product in table.facts_of("has_product", application)
        for fact in table.facts_of("protected_by_patent", product.object)
    ]
    # An older edition would not say what is listed by now.
    newest = table.newest_date("protected_by_patent")
    return {fact.object: fact for fact in facts if fact.as_of == newest}


def find_last_patent_expiry(table: FactTable, application: str) -> Outcome:
    """The latest expiry date of the patents listed for an application."""
    patents = _list_patents(table, application)
    if not patents:
        return Refusal("cardinality: no patents are listed")
    facts: list[StatedFact] = []
    dates = {}
    for patent, listing in patents.items():
        expiries = [
            fact
            for fact in table.facts_of("patent_expiry_date", patent)
            if fact.as_of == listing.as_of
        ]
        if not expiries or any(
            fact.qualifier("product") or fact.qualifier("extension") for fact in expiries
        ):
            return Refusal("cardinality: a patent has several dates of expiry, or none")
        dates[patent] = expiries[0].object
        facts += [listing, expiries[0]]
    last = max(dates.values(), key=read_date)
    products = table.facts_of("has_product", application)[:1]
    return Finding(last, (*products, *facts), facts[0].as_of)


def count_years_of_protection(table: FactTable, application: str) -> Outcome:
    """How many years lie between the approval of an application and the latest expiry date of its
    patents, by calendar year."""
    expiry = find_last_patent_expiry(table, application)
    if isinstance(expiry, Refusal):
        return expiry
    approved = _approval_date(table, application)
    if approved is None:
        return Refusal("cardinality: no approval date")
    years = [int(read_date(date)[:4]) for date in (approved.object, expiry.value)]
    if years[1] <= years[0]:
        return Refusal("form: the patents end in the year of approval")
    number = make_number("years", years[1] - years[0])
    return Finding(number, (approved, *expiry.facts), expiry.as_of)


def find_application_of_patent(table: FactTable, patent: str, edition: str) -> Outcome:
    """The single application that an edition of the Orange Book, the newest that was read, lists a
    patent for."""
    if edition != _orange_book_date(table)[0]:
        return Refusal("date: not the date of the registry's file")
    pairs = [
        (listing, product)
        for listing in table.facts_to("protected_by_patent", patent)
        for product in table.facts_to("has_product", listing.subject)
        if listing.as_of == read_date(edition)
    ]
    facts = [fact for pair in pairs for fact in pair]
    return take_single(facts, [product.subject for _, product in pairs], "application")


def find_drug_of_patent(table: FactTable, patent: str, edition: str) -> Outcome:
    """The active ingredient of the single application that a patent is listed for, where the
    ingredient was first approved with it: of a later product, the patent may not protect the drug
    itself."""
    application = find_application_of_patent(table, patent, edition)
    if isinstance(application, Refusal):
        return application
    drug = find_drug_of_application(table, application.value)
    if isinstance(drug, Refusal):
        return drug
    first = find_first_application(table, drug.value)
    if isinstance(first, Refusal):
        return first
    if first.value != application.value:
        return Refusal("cardinality: the ingredient was approved before with another application")
    return Finding(drug.value, (*application.facts, *drug.facts))


def _orange_book_date(table: FactTable) -> tuple[str, ...]:
    """The date of the Orange Book's newest edition."""
    return (make_value_id(LiteralValue("date", table.newest_date("protected_by_patent"))),)


def _propose_patents(table: FactTable) -> Iterator[tuple[str, ...]]:
    date = _orange_book_date(table)
    for patent in table.objects("protected_by_patent"):
        yield (patent, *date)


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


def count_patents(table: FactTable, application: str) -> Outcome:
    """How many patents are listed for an application."""
    patents = _list_patents(table, application)
    if not 2 <= len(patents) <= _MAX_COUNT:
        return Refusal(f"form: {len(patents)} patents")
    value = make_number("patents", len(patents))
    facts = tuple(patents.values())
    return Finding(value, facts, facts[0].as_of)


def find_last_exclusivity_end(table: FactTable, application: str) -> Outcome:
    """The latest date at which an exclusivity of the application ends."""
    facts = [
        fact
        for product in table.facts_of("has_product", application)
        for predicate in ("exclusivity_end_date", "one_of_exclusivity_end_dates")
        for fact in table.facts_of(predicate, product.object)
    ]
    newest = table.newest_date("exclusivity_end_date")
    listed = [fact for fact in facts if fact.as_of == newest]
    if not listed:
        return Refusal("cardinality: no exclusivity is listed")
    last = max(listed, key=lambda fact: read_date(fact.object))
    return Finding(last.object, tuple(listed), newest)


# --- companies ------------------------------------------------------------------------


def list_company_applications(table: FactTable, company: str) -> dict[str, StatedFact]:
    """The new drug applications of a company with a product on the market, with the listing. The
    file also keeps applications whose approval was withdrawn, without saying so."""
    return {
        fact.subject: fact
        for fact in table.facts_to("application_sponsor", company)
        if fact.subject.startswith(NEW_DRUG_APPLICATION) and _is_marketed(table, fact.subject)
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
    if _is_after_file(table, until):
        return Refusal("date: after the date of the registry's file")
    applications = list_company_applications(table, company)
    dates = {
        application: date
        for application in applications
        if (date := _approval_date(table, application)) is not None
        and read_date(date.object) <= read_date(until)
    }
    if len(dates) < 2:
        return Refusal("hops_needed: the company has a single application")
    last = max(read_date(fact.object) for fact in dates.values())
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
    facts = [
        fact
        for application in list_company_applications(table, company)
        for fact in table.facts_of("original_approval_date", application)
        if read_date(fact.object)[:4] == read_date(year)
    ]
    if not 2 <= len(facts) <= _MAX_COUNT:
        return Refusal(f"form: {len(facts)} approvals")
    value = make_number("applications", len(facts))
    return Finding(value, tuple(facts), facts[0].as_of)


def _propose_company_years(table: FactTable) -> Iterator[tuple[str, ...]]:
    pairs = {
        (company, make_year(read_date(date)[:4])) for company, date in _propose_company_dates(table)
    }
    yield from sorted(pairs)


# --- two drugs ------------------------------------------------------------------------


def _propose_drug_pairs(table: FactTable) -> Iterator[tuple[str, ...]]:
    """Pairs of drugs that were studied for one condition, or in one trial."""
    drugs: defaultdict[str, set[str]] = defaultdict(set)
    for trial in table.subjects("studies_intervention"):
        studied = {fact.object for fact in table.facts_of("studies_intervention", trial)}
        drugs[trial] = studied
        conditions = {fact.object for fact in table.facts_of("studies_condition", trial)}
        for condition in conditions:
            drugs[condition] |= studied
    pairs = {pair for group in drugs.values() for pair in itertools.combinations(sorted(group), 2)}
    yield from sorted(pairs)


def find_earlier_approved(table: FactTable, first: str, second: str) -> Outcome:
    """Of two drugs, the one that the FDA approved in an earlier year."""
    outcomes = [find_first_approval_year(table, drug) for drug in (first, second)]
    years = []
    facts: list[StatedFact] = []
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            return outcome
        years.append(read_date(outcome.value))
        facts += outcome.facts
    if years[0] == years[1]:
        return Refusal("cardinality: both were approved in the same year")
    return Finding(first if years[0] < years[1] else second, tuple(facts))


def find_years_between_approvals(table: FactTable, first: str, second: str) -> Outcome:
    """How many years lie between the first approvals of two drugs, by calendar year."""
    outcome = find_earlier_approved(table, first, second)
    if isinstance(outcome, Refusal):
        return outcome
    years = []
    for drug in (first, second):
        approved = find_first_approval_year(table, drug)
        if isinstance(approved, Refusal):
            return approved
        years.append(int(read_date(approved.value)))
    span = abs(years[0] - years[1])
    value = make_number("years", span)
    return Finding(value, outcome.facts)


KINDS = (
    StepKind(
        "first_application_for_drug",
        ("drug",),
        "application",
        find_first_application,
        Wording(
            noun=(
                "the application under which the FDA first approved {0}",
                "the original FDA application for {0}",
            ),
            question=("Under which application did the FDA first approve {0}?",),
        ),
        Wording(
            noun=(
                "FDA首次批准{0}所依据的上市申请",
                "{0}首次获FDA批准的上市申请",
            ),
            statement=("{0}最初凭一份上市申请获FDA批准。",),
            reference="该申请",
            question=(
                "FDA首次批准{0}所依据的是哪份上市申请？",
                "{0}首次获FDA批准的上市申请，申请号是什么？",
            ),
        ),
        _DRUGS_AT_FDA,
        propose_objects("active_ingredient"),
        cues=Cues(
            (
                "!company first * application",
                "first approve",
                "approve * first",
                "application * first",
            ),
            asides=("approve",),
        ),
    ),
    StepKind(
        "latest_application_for_drug",
        ("drug", "date"),
        "application",
        find_latest_application,
        Wording(
            noun=("the latest NDA or BLA that the FDA had approved by {1} for {0}",),
        ),
        Wording(
            statement=(
                "到{1}为止，{0}获FDA批准的上市申请（NDA或BLA）不止一份，其中一份获批最晚。",
            ),
            reference="该最晚获批的申请",
        ),
        _DRUGS_AT_FDA,
        _propose_until("active_ingredient"),
        constants=file_date,
        hops=2,
        cues=Cues(
            (
                "last approve? * application",
                "application * approve? last",
                "last approve",
                "approve several * application & last",
                "several * application * approve & last",
            ),
            asides=("approve", "several application", "day before"),
        ),
    ),
    StepKind(
        "approval_year_of_drug",
        ("drug",),
        "year",
        find_first_approval_year,
        Wording(
            question=(
                "In which year did the FDA first approve {0}?",
                "What year did {0} first receive FDA approval?",
            )
        ),
        Wording(
            question=(
                "{0}首次获FDA批准是在哪一年？",
                "FDA于哪一年首次批准{0}？",
            ),
        ),
        ("drugs_at_fda", "livertox"),
        propose_objects("active_ingredient"),
        cues=Cues(("first approve", "approve * first")),
    ),
    StepKind(
        "approval_date_of_drug",
        ("drug",),
        "date",
        find_first_approval_date,
        Wording(
            question=(
                "On what date did the FDA first approve {0}?",
                "When did {0} receive its first FDA approval?",
            )
        ),
        Wording(question=("FDA首次批准{0}是在哪一天？", "{0}首次获FDA批准的日期是哪一天？")),
        ("drugs_at_fda", "livertox"),
        propose_objects("active_ingredient"),
        cues=Cues(("first approve", "approve * first")),
    ),
    StepKind(
        "sponsor_of_application",
        ("application",),
        "company",
        follow("application_sponsor", ages=True),
        Wording(
            noun=("the company that holds {0}", "the sponsor of {0}"),
            statement=("A company is listed as the sponsor of {0}.",),
            reference="that company",
            question=("Which company is the sponsor of {0}?", "Which company holds {0}?"),
        ),
        Wording(
            noun=(
                "持有{0}的公司",
                "{0}的持有公司",
            ),
            statement=("{0}由一家公司持有。",),
            reference="该公司",
            question=(
                "{0}由哪家公司持有？",
                "哪家公司持有{0}？",
            ),
        ),
        _DRUGS_AT_FDA,
        propose_subjects("application_sponsor"),
        cues=Cues(
            ("hold", "sponsor * first? * application", "application * sponsor", "company sponsor"),
            chinese=("hold", "sponsor"),
        ),
    ),
    StepKind(
        "approval_date_of_application",
        ("application",),
        "date",
        follow("original_approval_date"),
        Wording(question=("On what date did the FDA approve {0}?",)),
        Wording(
            question=(
                "{0}的获批日期是哪一天？",
                "{0}于何时获FDA批准？",
            ),
        ),
        _DRUGS_AT_FDA,
        propose_subjects("original_approval_date"),
        cues=Cues(("approve",)),
    ),
    StepKind(
        "review_priority_of_application",
        ("application",),
        "category",
        follow("review_priority"),
        Wording(question=("Did {0} receive standard or priority review from the FDA?",)),
        Wording(
            question=(
                "{0}采用的是标准审评还是优先审评？",
                "{0}接受的是FDA的标准审评还是优先审评？",
            ),
        ),
        _DRUGS_AT_FDA,
        propose_subjects("review_priority"),
        offers_answer=True,
        cues=Cues(("priority",), asides=("review",)),
    ),
    StepKind(
        "submission_class_of_application",
        ("application",),
        "category",
        follow("submission_class"),
        Wording(question=("What submission classification did the FDA give {0}?",)),
        Wording(
            question=(
                "{0}属于FDA的哪一申报分类（submission classification）？",
                "{0}在Drugs@FDA中属于哪一申报分类（submission classification）？",
            ),
        ),
        _DRUGS_AT_FDA,
        propose_subjects("submission_class"),
        cues=Cues(("submission_class",)),
    ),
    StepKind(
        "trade_name_of_application",
        ("application",),
        "text",
        _find_trade_name,
        Wording(question=("What is the brand name of the product approved under {0}?",)),
        Wording(
            question=(
                "{0}所涉产品以什么商品名销售？",
                "{0}所涉产品的商品名是什么？",
            ),
        ),
        _DRUGS_AT_FDA,
        propose_subjects("application_sponsor"),
        cues=Cues(("brand",), asides=("market", "approve")),
    ),
    StepKind(
        "drug_of_application",
        ("application",),
        "drug",
        find_drug_of_application,
        Wording(
            noun=("the active ingredient of {0}",),
            statement=("{0} covers a single active ingredient.",),
            reference="that ingredient",
            question=("What is the active ingredient of {0}?",),
        ),
        Wording(
            noun=("{0}的活性成分",),
            statement=("{0}只涉及一种活性成分。",),
            reference="该活性成分",
            question=(
                "{0}的活性成分是什么？",
                "{0}涉及哪种活性成分？",
            ),
        ),
        _DRUGS_AT_FDA,
        propose_subjects("application_sponsor"),
        cues=Cues(("ingredient",)),
    ),
    StepKind(
        "last_patent_expiry_of_application",
        ("application",),
        "date",
        find_last_patent_expiry,
        Wording(
            question=(
                "What is the latest expiry date of the patents that the Orange Book lists for {0}?",
                "What is the latest expiry date of the Orange Book patents listed for {0}?",
            )
        ),
        Wording(
            question=(
                "橙皮书为{0}列出的专利中，最晚的到期日是哪一天？",
                "{0}在橙皮书中所列专利的最晚到期日是哪一天？",
            ),
        ),
        _ORANGE_BOOK,
        propose_subjects("application_sponsor"),
        hops=2,
        cues=Cues(
            (
                "last * patent & expire",
                "patent * last & expire",
                "last expire & patent",
                "expire * last & patent",
            ),
            asides=("patent", "expire", "protect", "several"),
        ),
    ),
    StepKind(
        "patents_of_application",
        ("application",),
        "number",
        count_patents,
        Wording(
            question=(
                "How many distinct patents does the Orange Book list, paediatric extensions apart, "
                "for {0}?",
            )
        ),
        Wording(
            question=(
                "不计儿科独占期延长，橙皮书为{0}列出了多少项不同的专利？",
                "{0}在橙皮书中列有多少项不同的专利（不计儿科独占期延长）？",
            ),
        ),
        _ORANGE_BOOK,
        propose_subjects("application_sponsor"),
        hops=2,
        cues=Cues(("patent",), asides=("protect", "extensions_apart")),
    ),
    StepKind(
        "exclusivity_end_of_application",
        ("application",),
        "date",
        find_last_exclusivity_end,
        Wording(
            question=("When does the last exclusivity end that the Orange Book lists for {0}?",)
        ),
        Wording(
            question=(
                "橙皮书为{0}列出的市场独占期中，最晚的届满日是哪一天？",
                "{0}在橙皮书中所列的最后一项市场独占期于何时届满？",
            ),
        ),
        _ORANGE_BOOK,
        propose_subjects("application_sponsor"),
        hops=2,
        cues=Cues(
            (
                "last * exclusivity & end|expire",
                "exclusivity * last & end|expire",
                "last end|expire & exclusivity",
            ),
            asides=("exclusivity",),
        ),
    ),
    StepKind(
        "years_of_protection",
        ("application",),
        "number",
        count_years_of_protection,
        Wording(
            question=(
                "How many calendar years after the approval of {0} does the last of its Orange "
                "Book patents expire?",
            )
        ),
        Wording(
            question=("橙皮书所列专利的最晚到期日比{0}的获批日期晚多少年（按年份计）？",),
        ),
        _ORANGE_BOOK,
        propose_subjects("application_sponsor"),
        hops=3,
        cues=Cues(
            ("span & years & patent", "years & patent & expire & approve"),
            asides=("approve", "protect", "last", "several"),
        ),
    ),
    StepKind(
        "application_of_patent",
        ("patent", "date"),
        "application",
        find_application_of_patent,
        Wording(
            noun=("the application that the Orange Book of {1} lists {0} for",),
            statement=("The Orange Book of {1} lists {0} for a single application.",),
            reference="that application",
            question=("For which application does the Orange Book of {1} list {0}?",),
        ),
        Wording(
            noun=("{1}版橙皮书中{0}所对应的上市申请",),
            statement=("在{1}版橙皮书中，{0}只对应一份上市申请。",),
            reference="该申请",
            question=("在{1}版橙皮书中，{0}对应的是哪份上市申请？",),
        ),
        _ORANGE_BOOK,
        _propose_patents,
        cues=Cues(("patent * application", "application * patent"), asides=("product",)),
    ),
    StepKind(
        "drug_of_patent",
        ("patent", "date"),
        "drug",
        find_drug_of_patent,
        Wording(
            noun=("the drug that {0} protects in the Orange Book of {1}",),
            statement=("In the Orange Book of {1}, {0} protects a single drug.",),
            reference="that drug",
            question=("Which drug does {0} protect in the Orange Book of {1}?",),
        ),
        Wording(
            noun=("{1}版橙皮书中由{0}保护的药物",),
            statement=("在{1}版橙皮书中，{0}只保护一种药物。",),
            reference="该药物",
            question=("在{1}版橙皮书中，{0}保护的是哪种药物？",),
        ),
        _ORANGE_BOOK,
        _propose_patents,
        hops=2,
        cues=Cues(("patent * protect", "protect * patent"), asides=("product", "ingredient")),
    ),
    StepKind(
        "generic_applications_of_drug",
        ("drug",),
        "number",
        count_generic_applications,
        Wording(
            question=(
                "How many abbreviated new drug applications (ANDAs) with a marketed product does "
                "Drugs@FDA list whose only active ingredient is {0}?",
            ),
        ),
        Wording(
            question=(
                "据Drugs@FDA，仅含{0}一种活性成分且仍有产品在市的仿制药申请（ANDA）共有多少份？",
                "Drugs@FDA收录了多少份仅含{0}一种活性成分且仍有产品在市的仿制药申请（ANDA）？",
            ),
        ),
        _DRUGS_AT_FDA,
        propose_objects("active_ingredient"),
        hops=2,
        cues=Cues(("generic",), asides=("market", "approve", "ingredient", "application")),
    ),
    StepKind(
        "latest_application_of_company",
        ("company", "date"),
        "application",
        find_latest_application_of_company,
        Wording(
            noun=("the latest new drug application listed under {0} in Drugs@FDA on {1}",),
        ),
        Wording(
            statement=(
                "到{1}为止，Drugs@FDA在{0}名下所列的新药申请（NDA）不止一份，其中一份获批最晚。",
            ),
            reference="该最晚获批的申请",
        ),
        _DRUGS_AT_FDA,
        _propose_until("application_sponsor"),
        constants=file_date,
        hops=2,
        cues=Cues(
            (
                "company hold? * last approve? * application",
                "company hold? * day before? last approve? * application",
                "company hold? * application * approve? last",
                "last approve? * application * hold? * company|sponsor",
                "hold several approve? application & last",
            ),
            asides=("approve", "hold * several approve? application", "application * hold"),
        ),
    ),
    StepKind(
        "approvals_of_company_in_year",
        ("company", "year"),
        "number",
        count_approvals_in_year,
        Wording(
            question=(
                "How many marketed new drug applications listed under {0} in Drugs@FDA were "
                "approved in {1}?",
            )
        ),
        Wording(
            question=(
                "Drugs@FDA在{0}名下所列、产品未停产的新药申请（NDA）中，有多少份于{1}获批？",
                "Drugs@FDA中列于{0}名下且产品未停产的新药申请（NDA），有多少份于{1}获批？",
            ),
        ),
        _DRUGS_AT_FDA,
        _propose_company_years,
        hops=2,
        cues=Cues(("application & approve",), asides=("hold", "market")),
    ),
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
        cues=Cues(("first|earlier approve", "approve * first|earlier"), asides=("several", "two")),
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
                "比较{0}与{1}首次获FDA批准的上市申请，哪一种药物在橙皮书中所列专利的最晚到期日更晚？",
            ),
        ),
        _ORANGE_BOOK,
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
            question=(
                "By how many calendar years do the first FDA approvals of {0} and {1} differ?",
            )
        ),
        Wording(
            question=(
                "{0}与{1}首次获FDA批准的年份相差多少年？",
                "{0}与{1}首次获得FDA批准，前后相隔几年（按年份计）？",
            ),
        ),
        ("drugs_at_fda", "livertox"),
        _propose_drug_pairs,
        hops=3,
        cues=Cues(
            ("span & years & first approve", "span & years & approve * first"),
            asides=("several", "year"),
        ),
    ),
)
