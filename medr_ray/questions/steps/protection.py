"""Steps over what protects a drug: patents and exclusivities of the Orange Book."""

from medr_ray.core.records import LiteralValue
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.registries.identifiers import find_application_id, make_product_prefix
from medr_ray.questions.steps.approvals import (
    MAX_COUNT,
    find_approval_date,
    find_drug_of_application,
    find_first_application,
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
    make_number,
    propose_subjects,
    propose_with_date,
    take_single,
)

ORANGE_BOOK = ("drugs_at_fda", "orange_book")


def _list_products(table: FactTable, application: str) -> list[str]:
    """The products of an application in any registry: the Orange Book has newer ones than the file
    of Drugs@FDA."""
    return table.ids_with_prefix(make_product_prefix(application))


def _list_patents(table: FactTable, application: str) -> dict[str, StatedFact]:
    """The patents listed for the products of an application, with the listing, newest edition
    alone."""
    facts = [
        fact
        for product in _list_products(table, application)
        for fact in table.facts_of("protected_by_patent", product)
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
        # The application's own line, where the patent is listed for another one too.
        expiry = min(expiries, key=lambda fact: fact.record_id != listing.record_id)
        dates[patent] = expiry.object
        facts += [listing, expiry]
    last = max(dates.values(), key=read_date)
    products = table.facts_of("has_product", application)[:1]
    return Finding(last, (*products, *facts), facts[0].as_of)


def count_years_of_protection(table: FactTable, application: str) -> Outcome:
    """How many full years lie between the approval of an application and the latest expiry date of
    its patents."""
    expiry = find_last_patent_expiry(table, application)
    if isinstance(expiry, Refusal):
        return expiry
    approved = find_approval_date(table, application)
    if approved is None:
        return Refusal("cardinality: no approval date")
    facts = (approved, *expiry.facts)
    return count_years(read_date(approved.object), read_date(expiry.value), facts, expiry.as_of)


def find_application_of_patent(table: FactTable, patent: str, edition: str) -> Outcome:
    """The single application that an edition of the Orange Book, the newest that was read, lists a
    patent for."""
    if edition != _orange_book_date(table)[0]:
        return Refusal("date: not the date of the registry's file")
    facts: list[StatedFact] = []
    applications: list[str] = []
    for listing in table.facts_to("protected_by_patent", patent):
        if listing.as_of != read_date(edition):
            continue
        # A product that is newer than the file of Drugs@FDA has no record there.
        facts += [listing, *table.facts_to("has_product", listing.subject)]
        applications.append(find_application_id(listing.subject))
    return take_single(facts, applications, "application")


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


def count_patents(table: FactTable, application: str) -> Outcome:
    """How many patents are listed for an application."""
    patents = _list_patents(table, application)
    if not 2 <= len(patents) <= MAX_COUNT:
        return Refusal(f"form: {len(patents)} patents")
    value = make_number("patents", len(patents))
    facts = tuple(patents.values())
    return Finding(value, facts, facts[0].as_of)


def find_last_exclusivity_end(table: FactTable, application: str) -> Outcome:
    """The latest date at which an exclusivity of the application ends."""
    facts = [
        fact
        for product in _list_products(table, application)
        for predicate in ("exclusivity_end_date", "one_of_exclusivity_end_dates")
        for fact in table.facts_of(predicate, product)
    ]
    newest = table.newest_date("exclusivity_end_date")
    listed = [fact for fact in facts if fact.as_of == newest]
    if not listed:
        return Refusal("cardinality: no exclusivity is listed")
    last = max(listed, key=lambda fact: read_date(fact.object))
    return Finding(last.object, tuple(listed), newest)


KINDS = (
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
        ORANGE_BOOK,
        propose_subjects("application_sponsor"),
        hops=2,
        cues=Cues(
            (
                "last * patent & expire",
                "patent * last & expire",
                "expire * last & patent",
                "last * expire & patent",
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
        ORANGE_BOOK,
        propose_subjects("application_sponsor"),
        hops=2,
        cues=Cues(
            ("patent",),
            asides=(
                "protect",
                "extensions_apart",
                "extensions apart",
                "apart extensions",
                "leave extensions apart",
            ),
        ),
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
            question=("橙皮书为{0}列出的市场独占期中，最晚的届满日是哪一天？",),
        ),
        ORANGE_BOOK,
        propose_subjects("application_sponsor"),
        hops=2,
        cues=Cues(
            (
                "last * exclusivity & end|expire",
                "exclusivity * last & end|expire",
                "last * end|expire & exclusivity",
                "end|expire * last & exclusivity",
            ),
            asides=("exclusivity", "exclusivity * run", "several", "protect"),
        ),
    ),
    StepKind(
        "years_of_protection",
        ("application",),
        "number",
        count_years_of_protection,
        Wording(
            question=(
                "How many full years after the approval of {0} does the last of its Orange Book "
                "patents expire?",
            )
        ),
        Wording(
            question=("{0}在橙皮书中所列专利的最晚到期日，比其获批日期晚多少个整年？",),
        ),
        ORANGE_BOOK,
        propose_subjects("application_sponsor"),
        hops=3,
        cues=Cues(
            (
                "years & patent & last * patent|expire",
                "years & patent & patent|expire * last",
            ),
            asides=(
                "approve",
                "protect",
                "last",
                "several",
                "expire",
                "after",
                "later",
                "span",
                "date",
            ),
        ),
    ),
    StepKind(
        "application_of_patent",
        ("patent", "date"),
        "application",
        find_application_of_patent,
        Wording(
            statement=("The Orange Book of {1} lists {0} for a single application.",),
            reference="that application",
            question=("For which application does the Orange Book of {1} list {0}?",),
        ),
        Wording(
            statement=("在{1}版橙皮书中，{0}只对应一份上市申请。",),
            reference="该申请",
            question=("在{1}版橙皮书中，{0}对应的是哪份上市申请？",),
        ),
        ORANGE_BOOK,
        propose_with_date("protected_by_patent", _orange_book_date),
        cues=Cues(("patent * application", "application * patent"), asides=("protect",)),
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
            noun=("{1}版橙皮书中{0}所涉及的药物",),
            statement=("在{1}版橙皮书中，{0}只涉及一种药物。",),
            reference="该药物",
            question=("在{1}版橙皮书中，{0}涉及的是哪种药物？",),
        ),
        ORANGE_BOOK,
        propose_with_date("protected_by_patent", _orange_book_date),
        hops=2,
        cues=Cues(
            ("patent * protect", "protect * patent", "patent * drug", "drug * patent"),
            asides=("ingredient",),
        ),
    ),
)
