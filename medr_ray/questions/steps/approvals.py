"""Steps over approvals: the applications of Drugs@FDA, their dates, sponsors and ingredients."""

import re
from collections.abc import Callable

from medr_ray.core.records import LiteralValue
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.questions.steps.kinds import (
    Cues,
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    count_years,
    follow,
    make_number,
    propose_objects,
    propose_subjects,
    propose_with_date,
    take_single,
)

DRUGS_AT_FDA = ("drugs_at_fda",)
FULL_APPLICATIONS = ("FDA:NDA", "FDA:BLA")
NEW_DRUG_APPLICATION = "FDA:NDA"
_GENERIC_APPLICATION = "FDA:ANDA"
_NEW_MOLECULAR_ENTITY = "VALUE:category/Type 1 - New Molecular Entity"
# Antibiotics of before 1997, reference products among them, have numbers of this series.
_OLD_ANTIBIOTIC = "FDA:ANDA06"
MARKETED = ("VALUE:category/Prescription", "VALUE:category/Over-the-counter")
MAX_COUNT = 12  # what a person can still check
# Older drugs were on the market before the application that the file has of them.
_RELIABLE_SINCE = "1985"
# What was approved last long ago is not called the latest.
RECENT_SINCE = "2000"
# Ingredients that are no single substance.
_MIXTURE = re.compile(
    r"\b(?:acids|salts|electrolytes|vitamins|allergens?|extracts?|pollens?|oils?|water|dextrose)$"
    r"|\b(?:water|saline)\b",
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


def _is_mixture(table: FactTable, drug: str) -> bool:
    return any(_MIXTURE.search(drug_name) for drug_name in table.names_of(drug)[:1])


def _has_other_salts(table: FactTable, drug: str) -> bool:
    """Whether a salt or an ester of the drug is listed as an ingredient of its own: what "the only
    active ingredient" takes in is then open."""
    names = table.names_of(drug)
    stem = f"{names[0].casefold()} " if names else ""
    return bool(stem) and any(
        name.casefold().startswith(stem)
        for other in table.objects("active_ingredient")
        if other != drug
        for name in table.names_of(other)[:1]
    )


def find_approval_date(table: FactTable, application: str) -> StatedFact | None:
    """The fact that dates the original approval of an application, where there is one."""
    facts = table.facts_of("original_approval_date", application)
    return facts[0] if len(facts) == 1 else None


def _find_approved(
    table: FactTable, drug: str, choose: Callable[..., str], until: str = ""
) -> Outcome:
    """The full application for the drug alone whose approval date is the chosen extreme, of those
    up to a date where one is given."""
    if _is_mixture(table, drug):
        return Refusal("class: a mixture, or a class of substances")
    applications = list_full_applications(table, drug)
    if not applications:
        return Refusal("cardinality: no application for the drug alone")
    dated = {application: find_approval_date(table, application) for application in applications}
    # One without a date may have been the first, or the last. Tentative approvals have none either.
    if any(fact is None and is_marketed(table, application) for application, fact in dated.items()):
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


def is_marketed(table: FactTable, application: str) -> bool:
    """Whether a product of an application is on the market."""
    return any(
        fact.object in MARKETED
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
    own = find_approval_date(table, application)
    others = {
        product.subject
        for ingredient in table.facts_to("active_ingredient", drug)
        for product in table.facts_to("has_product", ingredient.subject)
        if product.subject.startswith(FULL_APPLICATIONS) and product.subject != application
    }
    dates = [find_approval_date(table, other) for other in others]
    return own is None or any(
        date is not None and read_date(date.object) <= read_date(own.object) for date in dates
    )


def find_latest_application(table: FactTable, drug: str, until: str) -> Outcome:
    """The application for the drug alone that the FDA approved last, up to a date."""
    if is_after_file(table, until):
        return Refusal("date: after the date of the registry's file")
    if len(list_full_applications(table, drug)) < 2:
        return Refusal("hops_needed: the drug has a single application")
    if _has_other_salts(table, drug):
        return Refusal("class: a salt or an ester of the drug is listed apart")
    outcome = _find_approved(table, drug, max, until)
    if isinstance(outcome, Refusal):
        return outcome
    date = find_approval_date(table, outcome.value)
    if date is None or read_date(date.object) < RECENT_SINCE:
        return Refusal("form: the latest approval is of long ago")
    return Finding(outcome.value, outcome.facts)


def list_full_applications(
    table: FactTable, drug: str, *_: str
) -> dict[str, tuple[StatedFact, ...]]:
    """The new drug and biologics licence applications for the drug alone, with the facts that say
    so."""
    return {
        application: facts
        for application, facts in list_applications(table, drug).items()
        if application.startswith(FULL_APPLICATIONS)
    }


def is_after_file(table: FactTable, date: str) -> bool:
    """Whether a date is after that of Drugs@FDA's file."""
    return read_date(date) > read_date(file_date(table)[0])


def file_date(table: FactTable) -> tuple[str, ...]:
    """The date of Drugs@FDA's file: what was approved later is not in it."""
    return (make_value_id(LiteralValue("date", table.newest_date("application_sponsor"))),)


def _find_earlier_year(table: FactTable, drug: str, outcome: Finding) -> Refusal | None:
    """A refusal where LiverTox has another year of approval than Drugs@FDA: old applications are
    missing there now and then."""
    years = {read_date(fact.object)[:4] for fact in _list_livertox_years(table, drug)}
    date = find_approval_date(table, outcome.value)
    if date is None:
        return None
    approved = read_date(date.object)[:4]
    if years:
        if approved not in years:
            return Refusal("contradiction: LiverTox has another year of approval")
        if min(years) < approved:
            return Refusal("contradiction: LiverTox has an earlier year of approval")
        return None
    if approved < _RELIABLE_SINCE:
        return Refusal("source: no second source for an approval of long ago")
    if not _is_new_substance(table, outcome.value):
        return Refusal("source: no second source for the approval of what was no new substance")
    return None


def _is_new_substance(table: FactTable, application: str) -> bool:
    """Whether the FDA classed an application as that of a new molecular entity; a licence for a
    biological has no class."""
    return application.startswith("FDA:BLA") or any(
        fact.object.startswith(_NEW_MOLECULAR_ENTITY)
        for fact in table.facts_of("submission_class", application)
    )


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
    date = find_approval_date(table, outcome.value)
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


def _find_submission_class(table: FactTable, application: str) -> Outcome:
    """The class of an application that is not that of a new molecular entity, which a first
    application has nearly always."""
    outcome = follow("submission_class")(table, application)
    if isinstance(outcome, Finding) and outcome.value.startswith(_NEW_MOLECULAR_ENTITY):
        return Refusal("tautology: a first application is that of a new molecular entity")
    return outcome


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
    if _is_mixture(table, drug):
        return Refusal("class: a mixture, or a class of substances")
    facts: list[StatedFact] = []
    applications = 0
    printed: set[str] = set()
    for application, own in list_applications(table, drug).items():
        if application.startswith(_GENERIC_APPLICATION) and is_marketed(table, application):
            if application.startswith(_OLD_ANTIBIOTIC):
                return Refusal("class: an old antibiotic application is no generic's for certain")
            applications += 1
            facts += own
            for product in table.facts_of("has_product", application):
                facts += table.facts_of("marketing_status", product.object)
                ingredients = table.facts_of("active_ingredient", product.object)
                printed.update(fact.printed for fact in ingredients)
    if not 2 <= applications <= MAX_COUNT:
        return Refusal(f"form: {applications} applications")
    if len(printed) > 1 or _has_other_salts(table, drug):
        return Refusal("cardinality: the ingredient is printed in several ways")
    dates = {fact.as_of for fact in facts}
    return Finding(make_number("applications", applications), tuple(facts), max(dates))


def find_first_generic_approval(table: FactTable, drug: str) -> Outcome:
    """The date of the first approval among the abbreviated new drug applications for the drug
    alone."""
    if _is_mixture(table, drug):
        return Refusal("class: a mixture, or a class of substances")
    facts: dict[str, tuple[StatedFact, ...]] = {}
    for application, own in list_applications(table, drug).items():
        if not application.startswith(_GENERIC_APPLICATION):
            continue
        date = find_approval_date(table, application)
        if date is None:
            return Refusal("cardinality: an application has no approval date")
        facts[application] = (*own, date)
    if len(facts) < 2:
        return Refusal("hops_needed: the drug has fewer than two generic applications")
    if _has_other_salts(table, drug):
        return Refusal("class: a salt or an ester of the drug is listed apart")
    first = min(facts, key=lambda application: read_date(facts[application][-1].object))
    date = facts[first][-1]
    if read_date(date.object) < _RELIABLE_SINCE:
        return Refusal("source: generics of long ago are not all in the file")
    return Finding(date.object, facts[first], facts[first][0].as_of)


def count_years_to_first_generic(table: FactTable, drug: str) -> Outcome:
    """How many full years passed between the first approval of a drug and that of its first
    generic."""
    approved = find_first_approval_date(table, drug)
    if isinstance(approved, Refusal):
        return approved
    generic = find_first_generic_approval(table, drug)
    if isinstance(generic, Refusal):
        return generic
    facts = (*approved.facts, *generic.facts)
    return count_years(read_date(approved.value), read_date(generic.value), facts, generic.as_of)


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
            statement=("{0}首次获FDA批准时凭的是一份上市申请。",),
            reference="该申请",
            question=(
                "FDA首次批准{0}所依据的是哪份上市申请？",
                "{0}首次获FDA批准的上市申请，申请号是什么？",
            ),
        ),
        DRUGS_AT_FDA,
        propose_objects("active_ingredient"),
        alternatives=list_full_applications,
        cues=Cues(
            (
                "!company first * application",
                "first approve",
                "approve * first",
                "application * first",
            ),
            asides=("approve", "market"),
        ),
    ),
    StepKind(
        "latest_application_for_drug",
        ("drug", "date"),
        "application",
        find_latest_application,
        Wording(
            noun=(
                "the latest NDA or BLA in Drugs@FDA on {1} with {0} as its only active ingredient",
            ),
        ),
        Wording(
            statement=(
                "到{1}为止，{0}获FDA批准的上市申请（NDA或BLA）不止一份，其中一份获批最晚。",
            ),
            reference="该最晚获批的申请",
        ),
        DRUGS_AT_FDA,
        propose_with_date("active_ingredient", file_date),
        constants=file_date,
        alternatives=list_full_applications,
        hops=2,
        cues=Cues(
            (
                "last approve? * application",
                "application * approve? last",
                "last approve",
                "approve several * application & last",
                "several * application * approve & last",
                "several * application & last",
                "application * several & approve last",
            ),
            asides=(
                "approve",
                "several application",
                "application * several",
                "approve last",
                "drugs_at_fda * hold",
                "day before",
                "ingredient",
            ),
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
                "In what year did {0} first receive FDA approval?",
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
            noun=("the company that Drugs@FDA lists as the sponsor of {0}",),
            statement=("Drugs@FDA lists a company as the sponsor of {0}.",),
            reference="that company",
            question=("Which company does Drugs@FDA list as the sponsor of {0}?",),
        ),
        Wording(
            noun=(
                "持有{0}的公司",
                "{0}的持有公司",
            ),
            statement=("{0}由一家公司持有。",),
            reference="该公司",
            question=(
                "据Drugs@FDA，{0}由哪家公司持有？",
                "据Drugs@FDA，哪家公司持有{0}？",
            ),
        ),
        DRUGS_AT_FDA,
        propose_subjects("application_sponsor"),
        cues=Cues(
            (
                "hold",
                "sponsor !trial * first|last? * application",
                "application * sponsor",
                "company * sponsor !trial",
                "drugs_at_fda * sponsor !trial",
            ),
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
        DRUGS_AT_FDA,
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
        DRUGS_AT_FDA,
        propose_subjects("review_priority"),
        offers_answer=True,
        cues=Cues(("priority",), asides=("review",)),
    ),
    StepKind(
        "submission_class_of_application",
        ("application",),
        "category",
        _find_submission_class,
        Wording(question=("What submission classification did the FDA give {0}?",)),
        Wording(
            question=(
                "{0}属于FDA的哪一申报分类（submission classification）？",
                "{0}在Drugs@FDA中属于哪一申报分类（submission classification）？",
            ),
        ),
        DRUGS_AT_FDA,
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
        DRUGS_AT_FDA,
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
        DRUGS_AT_FDA,
        propose_subjects("application_sponsor"),
        cues=Cues(("ingredient",)),
    ),
    StepKind(
        "first_generic_approval_of_drug",
        ("drug",),
        "date",
        find_first_generic_approval,
        Wording(
            question=(
                "When was the first abbreviated new drug application (ANDA) approved that "
                "Drugs@FDA lists with {0} as its only active ingredient?",
            ),
        ),
        Wording(
            question=("据Drugs@FDA，首份以{0}为唯一活性成分的仿制药申请（ANDA）于何时获批？",),
        ),
        DRUGS_AT_FDA,
        propose_objects("active_ingredient"),
        hops=2,
        cues=Cues(
            ("first generic approve", "first * ingredient? * generic & approve"),
            asides=("ingredient", "generic"),
        ),
    ),
    StepKind(
        "years_to_first_generic",
        ("drug",),
        "number",
        count_years_to_first_generic,
        Wording(
            question=(
                "How many full years after the first FDA approval of {0} was the first ANDA "
                "approved that Drugs@FDA lists with it as its only active ingredient?",
            ),
        ),
        Wording(
            question=(
                "据Drugs@FDA，首份以{0}为唯一活性成分的仿制药申请（ANDA），其获批日期比该药物首次获FDA批准的日期晚多少个整年？",
            ),
        ),
        DRUGS_AT_FDA,
        propose_objects("active_ingredient"),
        hops=3,
        cues=Cues(
            ("years & generic & approve",),
            asides=("first", "ingredient", "generic", "after", "later", "span", "date"),
        ),
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
                "据Drugs@FDA，以{0}为唯一活性成分、且至少有一种产品仍在市的仿制药申请（ANDA）共有多少份？",
                "Drugs@FDA收录了多少份以{0}为唯一活性成分、且至少有一种产品仍在市的仿制药申请（ANDA）？",
            ),
        ),
        DRUGS_AT_FDA,
        propose_objects("active_ingredient"),
        hops=2,
        cues=Cues(("generic",), asides=("market", "approve", "ingredient", "application")),
    ),
)
