"""Steps over approvals: what two registries agree on, what ages, what is single; real records."""

from dataclasses import replace

from support.registry_facts import change_facts, drug, state, value

from medr_ray.graph.facts.fact_table import FactTable, TableEntity
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.approvals import file_date, list_applications
from medr_ray.questions.steps.kinds import Finding, Outcome, Refusal


def find(table: FactTable, kind: str, *inputs: str) -> Outcome:
    return STEP_KINDS[kind].find(table, *inputs)


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


def test_a_year_on_which_livertox_and_the_fda_differ_is_not_asked(table: FactTable) -> None:
    agreed = find(table, "approval_year_of_drug", drug("Omalizumab"))
    assert isinstance(agreed, Finding)
    assert agreed.value == value("date", "2003")
    assert {fact.source for fact in agreed.facts} == {"drugs_at_fda", "livertox"}
    for kind in ("approval_year_of_drug", "approval_date_of_drug", "first_application_for_drug"):
        differing = find(table, kind, drug("Celecoxib"))
        assert reason(differing).startswith("contradiction: LiverTox has another year")


def test_an_earlier_year_in_livertox_means_that_an_application_is_missing(
    table: FactTable,
) -> None:
    year = value("date", "1993")
    earlier = state(drug("Omalizumab"), "us_approval_year", year, "livertox")
    changed = change_facts(table, add=(earlier,))
    refusal = find(changed, "approval_year_of_drug", drug("Omalizumab"))
    assert reason(refusal) == "contradiction: LiverTox has an earlier year of approval"


def test_a_year_that_one_source_alone_states_is_not_asked(table: FactTable) -> None:
    stated = frozenset(
        fact.fact_id
        for predicate in ("us_approval_year", "first_us_approval_year")
        for fact in table.facts_of(predicate, drug("Omalizumab"))
    )
    assert stated
    changed = change_facts(table, drop=stated)
    refusal = find(changed, "approval_year_of_drug", drug("Omalizumab"))
    assert reason(refusal).startswith("source: no second source")


def test_applications_of_combinations_and_generics_are_no_first_approval(table: FactTable) -> None:
    product = state("FDA:NDA000001", "has_product", "PRODUCT:NDA000001/001", "drugs_at_fda")
    ingredients = tuple(
        state("PRODUCT:NDA000001/001", "active_ingredient", name, "drugs_at_fda")
        for name in (drug("Omalizumab"), drug("Loratadine"))
    )
    later, earlier = (
        state("FDA:NDA000001", "original_approval_date", value("date", day), "drugs_at_fda")
        for day in ("2015-01-01", "1980-01-01")
    )
    changed = change_facts(table, add=(product, *ingredients, later))
    assert "FDA:NDA000001" not in list_applications(changed, drug("Omalizumab"))
    outcome = find(changed, "first_application_for_drug", drug("Omalizumab"))
    assert isinstance(outcome, Finding)
    assert outcome.value == "FDA:BLA103976"
    # A combination that is as old is the first approval of the substance.
    changed = change_facts(table, add=(product, *ingredients, earlier))
    refusal = find(changed, "first_application_for_drug", drug("Omalizumab"))
    assert "combination" in reason(refusal)
    gemcitabine = find(table, "first_application_for_drug", drug("Gemcitabine"))
    assert isinstance(gemcitabine, Finding)
    assert gemcitabine.value == "FDA:NDA020509"


def test_two_applications_of_the_first_day_are_not_one(table: FactTable) -> None:
    day = table.facts_of("original_approval_date", "FDA:BLA103976")[0].object
    added = (
        state("FDA:BLA000002", "has_product", "PRODUCT:BLA000002/001", "drugs_at_fda"),
        state("PRODUCT:BLA000002/001", "active_ingredient", drug("Omalizumab"), "drugs_at_fda"),
        state("FDA:BLA000002", "original_approval_date", day, "drugs_at_fda"),
    )
    changed = change_facts(table, add=added)
    refusal = find(changed, "first_application_for_drug", drug("Omalizumab"))
    assert reason(refusal) == "cardinality: 2 applications of 2003-06-20"


def test_a_marketed_application_without_a_date_may_have_been_the_first(table: FactTable) -> None:
    added = (
        state("FDA:BLA000002", "has_product", "PRODUCT:BLA000002/001", "drugs_at_fda"),
        state("PRODUCT:BLA000002/001", "active_ingredient", drug("Omalizumab"), "drugs_at_fda"),
    )
    on_sale = state(
        "PRODUCT:BLA000002/001",
        "marketing_status",
        value("category", "Prescription"),
        "drugs_at_fda",
    )
    withdrawn = change_facts(table, add=added)
    outcome = find(withdrawn, "first_application_for_drug", drug("Omalizumab"))
    assert isinstance(outcome, Finding)
    marketed = change_facts(table, add=(*added, on_sale))
    refusal = find(marketed, "first_application_for_drug", drug("Omalizumab"))
    assert reason(refusal) == "cardinality: an application has no approval date"


def test_the_latest_is_asked_up_to_the_date_of_the_file_and_of_several(table: FactTable) -> None:
    (today,) = file_date(table)
    outcome = find(table, "latest_application_for_drug", drug("Gemcitabine"), today)
    assert isinstance(outcome, Finding)
    assert outcome.value == "FDA:NDA208313"
    before = find(
        table, "latest_application_for_drug", drug("Gemcitabine"), value("date", "2000-01-01")
    )
    # What was approved in 1996 is the first of them, and nobody's latest.
    assert reason(before) == "form: the latest approval is of long ago"
    later = find(
        table, "latest_application_for_drug", drug("Gemcitabine"), value("date", "2031-01-01")
    )
    assert reason(later).startswith("date: after the date of the registry's file")
    single = find(table, "latest_application_for_drug", drug("Omalizumab"), today)
    assert reason(single) == "hops_needed: the drug has a single application"


def test_the_last_patent_is_that_of_the_newest_edition_and_is_as_old(table: FactTable) -> None:
    application = "FDA:NDA203469"
    outcome = find(table, "last_patent_expiry_of_application", application)
    assert isinstance(outcome, Finding)
    assert outcome.value == value("date", "2033-12-12")
    assert outcome.as_of == table.newest_date("protected_by_patent")
    listing = next(fact for fact in outcome.facts if fact.predicate == "protected_by_patent")
    # An older edition listed a patent that expires later; it is listed no more.
    older = (
        state(listing.subject, "protected_by_patent", "PATENT:US1", "orange_book", "2018-03-14"),
        state(
            "PATENT:US1",
            "patent_expiry_date",
            value("date", "2050-01-01"),
            "orange_book",
            "2018-03-14",
        ),
    )
    changed = change_facts(table, add=older)
    again = find(changed, "last_patent_expiry_of_application", application)
    assert isinstance(again, Finding)
    assert again.value == outcome.value
    refusal = find(table, "last_patent_expiry_of_application", "FDA:NDA021660")
    assert "several dates of expiry" in reason(refusal)


def test_generics_are_counted_by_application_where_the_ingredient_is_printed_alike(
    table: FactTable,
) -> None:
    outcome = find(table, "generic_applications_of_drug", drug("Gemcitabine"))
    assert isinstance(outcome, Finding)
    counted = {fact.subject for fact in outcome.facts if fact.predicate == "has_product"}
    assert outcome.value == value("number", f"{len(counted)} applications")
    assert all(application.startswith("FDA:ANDA") for application in counted)
    assert outcome.as_of == file_date(table)[0].removeprefix("VALUE:date/")
    none = find(table, "generic_applications_of_drug", drug("Omalizumab"))
    assert reason(none) == "form: 0 applications"


def test_generics_of_two_salts_are_not_counted_together(table: FactTable) -> None:
    outcome = find(table, "generic_applications_of_drug", drug("Gemcitabine"))
    assert isinstance(outcome, Finding)
    product = next(fact for fact in outcome.facts if fact.predicate == "active_ingredient")
    other = product._replace(fact_id="fact-other-salt", printed="GEMCITABINE")
    changed = change_facts(table, drop=frozenset({product.fact_id}), add=(other,))
    refusal = find(changed, "generic_applications_of_drug", drug("Gemcitabine"))
    assert "printed in several ways" in reason(refusal)


def test_where_an_ester_is_an_ingredient_of_its_own_neither_latest_nor_first_is_asked(
    table: FactTable,
) -> None:
    (today,) = file_date(table)
    asked = {
        "Gemcitabine": ("latest_application_for_drug", today),
        "Azacitidine": ("first_generic_approval_of_drug",),
    }
    for name, (kind, *others) in asked.items():
        ester = f"DRUGBANK:ester of {name}"
        added = state("PRODUCT:NDA999999/001", "active_ingredient", ester, "drugs_at_fda")
        entities = {**table.entities, ester: TableEntity("drug", (f"{name} elaidate",))}
        changed = replace(change_facts(table, add=(added,)), entities=entities)
        assert isinstance(find(table, kind, drug(name), *others), Finding)
        refusal = find(changed, kind, drug(name), *others)
        assert reason(refusal).startswith("class: a salt or an ester")


def test_the_first_generic_is_dated_where_all_of_them_are(table: FactTable) -> None:
    azacitidine = drug("Azacitidine")  # approved in May 2004
    outcome = find(table, "first_generic_approval_of_drug", azacitidine)
    assert isinstance(outcome, Finding)
    assert outcome.value == value("date", "2013-09-16")
    years = find(table, "years_to_first_generic", azacitidine)
    assert isinstance(years, Finding)
    assert years.value == value("number", "9 years")
    generics = [
        application
        for application in list_applications(table, azacitidine)
        if application.startswith("FDA:ANDA")
    ]
    last = max(generics, key=lambda name: table.facts_of("original_approval_date", name)[0].object)
    date = table.facts_of("original_approval_date", last)[0]
    undated = change_facts(table, drop=frozenset({date.fact_id}))
    refusal = find(undated, "first_generic_approval_of_drug", azacitidine)
    assert reason(refusal) == "cardinality: an application has no approval date"


def test_a_trade_name_that_holds_the_ingredient_gives_it_away(table: FactTable) -> None:
    outcome = find(table, "trade_name_of_application", "FDA:BLA103976")
    assert isinstance(outcome, Finding)
    assert outcome.value == value("text", "XOLAIR")
    refusal = find(table, "trade_name_of_application", "FDA:ANDA075184")
    assert reason(refusal).startswith("no_leak")


def test_a_company_with_one_application_is_not_asked_for_its_latest(table: FactTable) -> None:
    (today,) = file_date(table)
    outcome = find(table, "latest_application_of_company", "COMPANY:bayer healthcare", today)
    assert isinstance(outcome, Finding)
    assert outcome.value == "FDA:NDA021952"
    single = find(table, "latest_application_of_company", "COMPANY:abraxis bioscience", today)
    assert reason(single) == "hops_needed: the company has a single application"


def test_years_between_two_approvals_are_full_years_of_one_reading(table: FactTable) -> None:
    both = drug("Omalizumab"), drug("Afatinib")  # June 2003, July 2013
    outcome = find(table, "years_between_approvals", *both)
    assert isinstance(outcome, Finding)
    assert outcome.value == value("number", "10 years")
    # June 2003 to March 2017: 14 by the calendar, 13 full ones.
    refusal = find(table, "years_between_approvals", both[0], drug("Dupilumab"))
    assert reason(refusal) == "form: the full years are not those of the calendar"


def test_of_two_drugs_of_about_one_age_the_earlier_is_asked(table: FactTable) -> None:
    earlier = find(table, "earlier_approved_drug", drug("Afatinib"), drug("Ponatinib"))
    assert isinstance(earlier, Finding)
    assert earlier.value == drug("Ponatinib")  # 2012 and 2013
    apart = find(table, "earlier_approved_drug", drug("Omalizumab"), drug("Afatinib"))
    assert reason(apart) == "form: which is the older one is known to everybody"


def test_a_patent_leads_to_its_application_in_the_newest_edition(table: FactTable) -> None:
    edition = value("date", table.newest_date("protected_by_patent"))
    outcome = find(table, "application_of_patent", "PATENT:US9493470", edition)
    assert isinstance(outcome, Finding)
    assert outcome.value == "FDA:NDA203469"
    ponatinib = find(table, "drug_of_patent", "PATENT:US9493470", edition)
    assert isinstance(ponatinib, Finding)
    assert ponatinib.value == drug("Ponatinib")
    older = find(table, "application_of_patent", "PATENT:US9493470", value("date", "2018-03-14"))
    assert reason(older).startswith("date: ")


def test_a_patent_that_another_application_has_too_leads_to_none(table: FactTable) -> None:
    date = table.newest_date("protected_by_patent")
    edition = value("date", date)
    # The newer application is in the Orange Book, and not in the older file of Drugs@FDA.
    listing = state(
        "PRODUCT:NDA999999/001", "protected_by_patent", "PATENT:US9493470", "orange_book", date
    )
    changed = change_facts(table, add=(listing,))
    refusal = find(changed, "application_of_patent", "PATENT:US9493470", edition)
    assert reason(refusal) == "cardinality: 2 values of application"


def test_the_years_of_protection_end_with_the_last_patent(table: FactTable) -> None:
    # Approved in December 2012, protected until 12 December 2033: 20 full years, 21 by the year.
    refusal = find(table, "years_of_protection", "FDA:NDA203469")
    assert reason(refusal) == "form: the full years are not those of the calendar"
    approved = table.facts_of("original_approval_date", "FDA:NDA203469")[0]
    earlier = state(
        "FDA:NDA203469", "original_approval_date", value("date", "2012-12-01"), "drugs_at_fda"
    )
    changed = change_facts(table, drop=frozenset({approved.fact_id}), add=(earlier,))
    outcome = find(changed, "years_of_protection", "FDA:NDA203469")
    assert isinstance(outcome, Finding)
    assert outcome.value == value("number", "21 years")
    assert outcome.as_of == table.newest_date("protected_by_patent")


def test_of_two_drugs_the_later_protected_is_that_of_the_later_last_patent(
    table: FactTable,
) -> None:
    pairs = set(STEP_KINDS["later_protected_drug"].propose(table))
    assert tuple(sorted((drug("Liraglutide"), drug("Semaglutide")))) in pairs
    assert tuple(sorted((drug("Liraglutide"), drug("Olaparib")))) not in pairs
    both = drug("Vandetanib"), drug("Ponatinib")
    outcome = find(table, "later_protected_drug", *both)
    expiries = [
        find(table, "last_patent_expiry_of_application", first.value)
        for name in both
        if isinstance(first := find(table, "first_application_for_drug", name), Finding)
    ]
    dates = [expiry.value for expiry in expiries if isinstance(expiry, Finding)]
    assert isinstance(outcome, Finding)
    assert outcome.value == both[dates.index(max(dates))]
