"""Which printed names are one company, and which are not."""

import itertools

import pytest

from medr_ray.core.records import RegistryEntity
from medr_ray.knowledge.registries.companies import (
    find_shared_names,
    make_company_id,
    make_institution_id,
    match_short_names,
    parse_company_name,
)
from medr_ray.knowledge.registries.record_facts import FactCollector

SAME = [
    ("NOVARTIS PHARMS CORP", "Novartis Pharmaceuticals", "NOVARTIS PHARM"),
    ("TEVA PHARMS USA", "Teva Pharmaceuticals USA, Inc."),
    ("TARO PHARMACEUTICALS USA INC", "Taro Pharmaceuticals U.S.A., Inc."),
    ("ELI LILLY AND CO", "Eli Lilly and Company"),
    ("BAYER HLTHCARE", "Bayer HealthCare LLC."),
    ("HOFFMANN LA ROCHE", "Hoffmann-La Roche"),
    ("G AND W LABS", "G & W Laboratories, Inc."),
    ("AH ROBINS CO", "A.H. Robins Co"),
    ("DR REDDYS LABS LTD", "Dr. Reddy's Laboratories Limited"),
    ("NOVO NORDISK AS", "Novo Nordisk A/S"),
    ("The Kroger Co.", "Kroger Company"),
    ("WYETH PHARMACEUTICALS INC SUB PFIZER INC", "Wyeth Pharmaceuticals"),
    ("Genzyme, a Sanofi Company", "GENZYME CORP"),
    ("Denton Pharma, Inc. DBA Northwind Pharmaceuticals", "DENTON PHARMA"),
    ("EQUATE (Wal-Mart Stores, Inc.)", "Wal-Mart Stores Inc"),
    ("National Cancer Institute (NCI)", "National Cancer Institute"),
    ("Sociedad Española", "SOCIEDAD ESPANOLA"),
]
DIFFERENT = [
    ("Teva Pharmaceuticals USA", "Teva Women's Health", "Teva", "Teva Pharmaceutical Industries"),
    ("Merck Sharp & Dohme LLC", "Merck KGaA, Darmstadt, Germany", "MERCK KGAA", "MERCK AND CO INC"),
    ("Bayer HealthCare", "Bayer Pharmaceuticals", "Bayer"),
    ("AstraZeneca", "AstraZeneca AB", "AstraZeneca K.K."),
    ("Sun Pharma Global", "Sun Pharmaceutical Industries"),
    ("ACTAVIS LABS FL INC", "ACTAVIS LABS NY INC"),
    ("L Perrigo Co", "Perrigo Co"),
    ("Zai Lab (Hong Kong), Ltd.", "Zai Lab (Shanghai) Co., Ltd."),
    ("GALEN (UK)", "GALEN"),
    ("Limited", "Company"),
    ("MELINTA SUBSIDIARY CORP", "MELINTA"),
]


@pytest.mark.parametrize("names", SAME, ids=lambda names: names[0])
def test_one_company_in_several_spellings(names: tuple[str, ...]) -> None:
    assert len(set(map(make_company_id, names))) == 1


@pytest.mark.parametrize("names", DIFFERENT, ids=lambda names: names[0])
def test_companies_that_share_words_stay_apart(names: tuple[str, ...]) -> None:
    for name, other in itertools.combinations(names, 2):
        assert make_company_id(name) != make_company_id(other)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("KAI PHARMACEUTICALS INC A WHOLLY OWNED SUBSIDIARY OF AMGEN INC", "AMGEN INC"),
        ("PLIVA INC AN INDIRECT WHOLLY OWNED SUB OF TEVA PHARMS USA INC", "TEVA PHARMS USA INC"),
        ("ROERIG DIV PFIZER INC", "PFIZER INC"),
        ("Wyeth is now a wholly owned subsidiary of Pfizer", "Pfizer"),
        ("Provention Bio, a Sanofi Company", "Sanofi"),
        # What follows may be the division itself: only a legal form tells.
        ("NATIONAL CANCER INSTITUTE DIV CANCER TREATMENT AND DIAGNOSIS", ""),
        ("3M MEDICAL PRODUCTS DIV", ""),
    ],
)
def test_stated_owner(name: str, owner: str) -> None:
    assert parse_company_name(name).owner == owner


def test_stated_owner_is_a_fact_with_the_name_as_evidence() -> None:
    facts = FactCollector("drugs_at_fda", "NDA000001", "a drug")
    name = "ROERIG DIV PFIZER INC"
    company_id = facts.add_company(name, "Applications.SponsorName")
    (fact,) = facts.build().facts
    assert (fact.subject, fact.predicate, fact.object) == (company_id, "owned_by", "COMPANY:pfizer")
    assert fact.evidence.value == name


def test_institutions() -> None:
    assert make_institution_id("The Johns Hopkins Univ.") == make_institution_id(
        "Johns Hopkins University"
    )
    assert make_institution_id("National Institute of Mental Health (NIMH)") == make_institution_id(
        "National Institute of Mental Health"
    )
    assert make_institution_id("University of York") != make_institution_id("York University")


def _make_company(source: str, *names: str) -> RegistryEntity:
    return RegistryEntity(make_company_id(names[0]), "company", names, (), source)  # type: ignore[arg-type]


def test_short_name_of_one_applicant_is_matched_and_that_of_two_is_not() -> None:
    companies = [
        _make_company("orange_book", "UNICHEM LABORATORIES LTD", "UNICHEM"),
        _make_company("orange_book", "TEVA PHARMACEUTICALS USA INC", "TEVA"),
        _make_company("orange_book", "TEVA WOMENS HEALTH INC", "TEVA"),
        _make_company("drugs_at_fda", "UNICHEM"),
    ]
    assert match_short_names(companies) == {"COMPANY:unichem": "COMPANY:unichem laboratory"}


def test_names_with_two_legal_forms_are_listed_as_perhaps_two_companies() -> None:
    companies = [
        _make_company("orange_book", "SUN PHARMACEUTICAL INDUSTRIES LTD"),
        _make_company("drug_labels", "Sun Pharmaceutical Industries, Inc."),
        _make_company("orange_book", "AKORN INC", "AKORN"),
    ]
    assert find_shared_names(companies) == {
        "COMPANY:sun pharmaceutical industry": (
            "SUN PHARMACEUTICAL INDUSTRIES LTD",
            "Sun Pharmaceutical Industries, Inc.",
        )
    }
