"""Trials as facts: what a study states, and what bad input costs."""

import copy
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.records import Fact
from medr_ray.knowledge.registries.clinical_trials import (
    MAX_EVENT_TERMS,
    read_clinical_trials_facts,
)
from medr_ray.knowledge.registries.fact_predicates import FACT_PREDICATES
from medr_ray.knowledge.registries.identifiers import make_company_id, make_institution_id
from medr_ray.knowledge.registries.record_facts import RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords

PROTOCOL: dict[str, Any] = {
    "identificationModule": {
        "nctId": "NCT00429364",
        "briefTitle": "Atenolol vs. Losartan in Marfan Syndrome",
        "officialTitle": "Trial of Beta Blocker Therapy vs. Losartan",
        "acronym": "MFS",
        "secondaryIdInfos": [{"id": "2006-001234-56", "type": "EUDRACT_NUMBER"}],
    },
    "statusModule": {
        "overallStatus": "COMPLETED",
        "startDateStruct": {"date": "2007-01"},
        "primaryCompletionDateStruct": {"date": "2014-02-28", "type": "ACTUAL"},
        "completionDateStruct": {"date": "2014", "type": "ESTIMATED"},
        "lastUpdatePostDateStruct": {"date": "2018-03-27"},
    },
    "sponsorCollaboratorsModule": {
        "leadSponsor": {"name": "Novartis", "class": "INDUSTRY"},
        "collaborators": [{"name": "Boston Medical Center", "class": "OTHER"}],
    },
    "conditionsModule": {"conditions": ["Marfan Syndrome", "Marfan's syndrome"]},
    "designModule": {
        "studyType": "INTERVENTIONAL",
        "phases": ["PHASE1", "PHASE2"],
        "designInfo": {"allocation": "RANDOMIZED", "maskingInfo": {"masking": "SINGLE"}},
        "enrollmentInfo": {"count": 608, "type": "ACTUAL"},
    },
    "armsInterventionsModule": {
        "armGroups": [
            {
                "label": "Losartan",
                "type": "EXPERIMENTAL",
                "description": "Prose.",
                "interventionNames": ["Drug: Losartan 100 mg", "Drug: Placebo"],
            }
        ],
        "interventions": [
            {"type": "DRUG", "name": "Losartan 100 mg", "description": "Prose."},
            {"type": "DRUG", "name": "Placebo"},
            {"type": "DEVICE", "name": "Losartan"},
        ],
    },
    "outcomesModule": {
        "primaryOutcomes": [{"measure": "Aortic root\nz score", "timeFrame": "3 years"}]
    },
    "contactsLocationsModule": {
        "overallOfficials": [
            {
                "name": "Ronald V Lacro, MD",
                "role": "PRINCIPAL_INVESTIGATOR",
                "affiliation": "Boston Children's Hospital",
            },
            {"name": "Novartis Pharmaceuticals", "role": "STUDY_DIRECTOR", "affiliation": "x"},
            {"name": "Novartis", "role": "STUDY_DIRECTOR"},
        ],
        "locations": [
            {"facility": "University Hospital", "city": "Ghent", "country": "Belgium"},
            {"facility": "University Hospital", "city": "Basel", "country": "Switzerland"},
            {"facility": "Mayo Clinic ( Site 12)", "city": "Rochester", "country": "United States"},
            {"facility": "Research Site", "city": "Rome", "country": "Italy"},
        ],
    },
    "referencesModule": {
        "references": [
            {"pmid": "25405392", "type": "RESULT"},
            {"pmid": "17255299", "type": "BACKGROUND", "retractions": [{"pmid": "30087149"}]},
            {"pmid": "30000001", "type": "DERIVED"},
            {"type": "BACKGROUND", "citation": "A book."},
        ]
    },
}
RESULTS: dict[str, Any] = {
    "outcomeMeasuresModule": {
        "outcomeMeasures": [
            {
                "type": "PRIMARY",
                "title": "Aortic root z score",
                "timeFrame": "3 years",
                "unitOfMeasure": "z score per year",
                "paramType": "MEAN",
                "dispersionType": "Standard Error",
                "groups": [{"id": "OG000", "title": "Atenolol"}, {"id": "OG001", "title": "B"}],
                "classes": [
                    {
                        "title": "Root",
                        "categories": [
                            {
                                "measurements": [
                                    {"groupId": "OG000", "value": "-0.139", "spread": "0.013"},
                                    {"groupId": "OG001", "value": "NA"},
                                ]
                            }
                        ],
                    }
                ],
            },
            {"type": "SECONDARY", "title": "Deaths", "classes": []},
        ]
    },
    "adverseEventsModule": {
        "timeFrame": "3 years",
        "eventGroups": [
            {
                "id": "EG000",
                "title": "Atenolol",
                "seriousNumAffected": 12,
                "seriousNumAtRisk": 303,
            }
        ],
        "seriousEvents": [],
        "otherEvents": [
            {
                "term": "Cough",
                "organSystem": "Respiratory",
                "stats": [{"groupId": "EG000", "numAffected": 5, "numAtRisk": 303}],
            }
        ],
    },
}


def study() -> dict[str, Any]:
    return copy.deepcopy(
        {"protocolSection": PROTOCOL, "resultsSection": RESULTS, "hasResults": True}
    )


def read(*paths: Path) -> tuple[list[RecordFacts], UnusableRecords]:
    unusable = UnusableRecords()
    return list(read_clinical_trials_facts([str(path) for path in paths], unusable)), unusable


def read_study(tmp_path: Path, record: dict[str, Any]) -> RecordFacts:
    path = tmp_path / "study.jsonl"
    path.write_text(json.dumps(record))
    (facts,), unusable = read(path)
    assert not unusable
    return facts


def state(fact: Fact) -> tuple[str, str, dict[str, str]]:
    """(predicate, object or value, qualifiers)"""
    value = fact.literal.text if fact.literal else fact.object
    return fact.predicate, value, {item.name: item.value for item in fact.qualifiers}


def values(record: RecordFacts, predicate: str) -> list[str]:
    return [state(fact)[1] for fact in record.facts if fact.predicate == predicate]


def test_a_study_states_its_facts(tmp_path: Path) -> None:
    record = read_study(tmp_path, study())
    assert (record.record_id, record.as_of, record.problems) == ("NCT00429364", "2018-03-27", ())
    assert {fact.as_of for fact in record.facts} == {"2018-03-27"}
    stated = [state(fact) for fact in record.facts]
    boston = make_institution_id("Boston Medical Center")
    novartis = make_company_id("Novartis")
    for fact in [
        ("lead_sponsor", novartis, {"sponsor_class": "INDUSTRY"}),
        ("collaborator", boston, {"sponsor_class": "OTHER"}),
        ("trial_phase", "PHASE1, PHASE2", {}),
        ("masking", "SINGLE", {}),
        ("start_date", "2007-01", {}),
        ("primary_completion_date", "2014-02-28", {"date_type": "ACTUAL"}),
        ("completion_date", "2014", {"date_type": "ESTIMATED"}),
        ("enrolment", "608", {"count_type": "ACTUAL"}),
        ("studies_condition", "CONDITION:marfan syndrome", {}),
        ("studies_intervention", "SUBSTANCE:losartan", {"intervention_type": "DRUG"}),
        ("other_intervention", "Placebo", {"intervention_type": "DRUG"}),
        ("other_intervention", "Losartan", {"intervention_type": "DEVICE"}),
        ("trial_arm", "Losartan", {"arm_type": "EXPERIMENTAL"}),
        (
            "arm_intervention",
            "SUBSTANCE:losartan",
            {"arm": "Losartan", "arm_type": "EXPERIMENTAL"},
        ),
        ("primary_outcome", "Aortic root z score", {"time_frame": "3 years"}),
        ("reports_results_in", "PMID:25405392", {}),
        ("cites_paper", "PMID:17255299", {}),
        ("named_in_paper", "PMID:30000001", {}),
        ("retracted_by", "PMID:30087149", {}),
        ("trial_country", "Italy", {}),
        (
            "primary_outcome_result",
            "-0.139",
            {
                "outcome": "Aortic root z score",
                "time_frame": "3 years",
                "value_type": "MEAN",
                "dispersion_type": "Standard Error",
                "spread": "0.013",
                "group": "Atenolol",
                "outcome_class": "Root",
            },
        ),
        (
            "serious_adverse_events",
            "12",
            {"at_risk": "303", "group": "Atenolol", "time_frame": "3 years"},
        ),
        (
            "adverse_event",
            "5",
            {
                "at_risk": "303",
                "group": "Atenolol",
                "organ_system": "Respiratory",
                "seriousness": "other",
                "term": "Cough",
                "time_frame": "3 years",
            },
        ),
    ]:
        assert fact in stated
    # "NA" is no value, and an office no person.
    assert len(values(record, "primary_outcome_result")) == 1
    assert values(record, "overall_official") == ["PERSON:NCT:NCT00429364/ronald v lacro"]
    assert values(record, "affiliation") == [make_institution_id("Boston Children's Hospital")]
    assert values(record, "trial_site") == [
        make_institution_id("University Hospital Ghent"),
        make_institution_id("University Hospital Basel"),
        make_institution_id("Mayo Clinic"),
    ]
    (trial,) = [entity for entity in record.entities if entity.entity_type == "trial"]
    assert trial.names[:3] == ("Atenolol vs. Losartan in Marfan Syndrome", "NCT00429364", "MFS")
    assert trial.identifiers == ("EUDRACT:2006-001234-56",)


def test_evidence_is_the_field_as_printed(tmp_path: Path) -> None:
    raw = study()
    record = read_study(tmp_path, raw)
    for fact in record.facts:
        assert follow_path(raw, fact.evidence.field) == fact.evidence.value
    assert "Losartan 100 mg" in [fact.evidence.value for fact in record.facts]


def follow_path(value: Any, path: str) -> str:
    """What is printed at the path, as evidence quotes it."""
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return ", ".join(value) if isinstance(value, list) else str(value)


@pytest.mark.parametrize(
    ("sponsor_class", "entity_id"),
    [
        ("INDUSTRY", "PERSON:NCT:NCT00429364/ronald v lacro"),
        ("INDIV", "PERSON:NCT:NCT00429364/ronald v lacro"),
        ("OTHER", "PERSON:NCT:NCT00429364/ronald v lacro"),  # an official with titles
        ("NIH", "PERSON:NCT:NCT00429364/ronald v lacro"),
    ],
)
def test_the_class_of_a_sponsor_decides_what_it_is(
    tmp_path: Path, sponsor_class: str, entity_id: str
) -> None:
    raw = study()
    raw["protocolSection"]["sponsorCollaboratorsModule"]["leadSponsor"] = {
        "name": "Ronald V Lacro",
        "class": sponsor_class,
    }
    assert values(read_study(tmp_path, raw), "lead_sponsor") == [entity_id]


@pytest.mark.parametrize(
    ("name", "sponsor_class", "entity_type"),
    [
        ("Hugh A Sampson, MD", "OTHER", "person"),
        ("Joseph D. Diaz, MD", "INDUSTRY", "person"),
        ("Professor Lauri Lehtimäki", "UNKNOWN", "person"),
        ("Jodi Maranchie", "OTHER", "person"),  # the investigator who is the sponsor
        ("Hôpital Haut Lévêque", "OTHER", "institution"),  # as its own investigator
        ("Professor of Neurology", "UNKNOWN", "institution"),
        ("Dr. Reddy's Laboratories", "INDUSTRY", "company"),
        ("Dr. Falk Pharma", "UNKNOWN", "institution"),
        ("Novartis", "INDUSTRY", "company"),
        ("Cairify LLC", "UNKNOWN", "company"),
        ("Gynecologic Oncology Group (GOG) Foundation Inc.", "UNKNOWN", "institution"),
        ("Hamilton Health Sciences Corporation", "OTHER", "institution"),
        ("National Cancer Institute (NCI)", "NIH", "institution"),
        ("Centers for Disease Control and Prevention", "FED", "institution"),
        ("Danish Medicines Agency", "OTHER_GOV", "institution"),
        ("Children's Oncology Group", "NETWORK", "institution"),
    ],
)
def test_class_and_name_tell_people_companies_and_institutions_apart(
    tmp_path: Path, name: str, sponsor_class: str, entity_type: str
) -> None:
    raw = study()
    raw["protocolSection"]["sponsorCollaboratorsModule"] = {
        "leadSponsor": {"name": name, "class": sponsor_class},
        "responsibleParty": {
            "type": "SPONSOR_INVESTIGATOR",
            "investigatorFullName": name if name.startswith("Hôpital") else "Jodi Maranchie",
        },
    }
    record = read_study(tmp_path, raw)
    (sponsor,) = values(record, "lead_sponsor")
    (entity,) = [entity for entity in record.entities if entity.entity_id == sponsor]
    assert entity.entity_type == entity_type
    assert not record.problems


def test_an_official_who_is_the_sponsor_too_is_an_official(tmp_path: Path) -> None:
    raw = study()
    raw["protocolSection"]["sponsorCollaboratorsModule"] = {
        "leadSponsor": {"name": "Ronald V Lacro", "class": "OTHER"},
        "responsibleParty": {
            "type": "SPONSOR_INVESTIGATOR",
            "investigatorFullName": "Ronald V Lacro",
        },
    }
    record = read_study(tmp_path, raw)
    (sponsor,) = values(record, "lead_sponsor")
    assert sponsor in values(record, "overall_official")


@pytest.mark.parametrize(
    ("name", "predicate"),
    [
        ("Healthy Volunteers", "other_condition"),
        ("Adolescent Behavior", "other_condition"),
        ("Knee Replacement", "other_condition"),
        ("Smoking Cessation", "other_condition"),
        ("Complications of Surgery Delayed Healing Disorder", "studies_condition"),
        ("Infertility, Female", "studies_condition"),
        ("Asthma in Children", "studies_condition"),
    ],
)
def test_people_and_procedures_are_no_condition(tmp_path: Path, name: str, predicate: str) -> None:
    raw = study()
    raw["protocolSection"]["conditionsModule"]["conditions"] = [name]
    record = read_study(tmp_path, raw)
    assert len(values(record, predicate)) == 1
    other = {"other_condition", "studies_condition"} - {predicate}
    assert not values(record, other.pop())


@pytest.mark.parametrize(
    ("kind", "name", "predicate"),
    [
        ("DRUG", "Placebo", "studies_intervention"),
        ("DRUG", "Atenolol", "studies_intervention"),
        ("DEVICE", "Pacemaker", "studies_intervention"),
        ("DRUG", "Chemotherapy", "studies_among_others"),
        ("BIOLOGICAL", "Cisplatin/ Carboplatin", "studies_among_others"),
        ("DIETARY_SUPPLEMENT", "Vitamin D", "studies_among_others"),
        ("OTHER", "Standard of care", "studies_among_others"),
    ],
)
def test_substances_are_all_of_a_trial_or_some(
    tmp_path: Path, kind: str, name: str, predicate: str
) -> None:
    raw = study()
    interventions = raw["protocolSection"]["armsInterventionsModule"]["interventions"]
    interventions[1] = {"type": kind, "name": name}
    record = read_study(tmp_path, raw)
    assert "SUBSTANCE:losartan" in values(record, predicate)
    assert len({fact.predicate for fact in record.facts if "studies_" in fact.predicate}) == 2


@pytest.mark.parametrize(
    ("given", "predicates"),
    [
        (["Drug: Losartan 100 mg", "Drug: Placebo"], ["arm_intervention"]),
        (["Drug: Losartan 100 mg", "Drug: Standard of care"], ["arm_among_others"]),
        (["Drug: Losartan 100 mg", "Drug: Atenolol"], []),
        (["Drug: Placebo"], []),
    ],
)
def test_an_arm_states_what_it_gets(
    tmp_path: Path, given: list[str], predicates: list[str]
) -> None:
    raw = study()
    arms = raw["protocolSection"]["armsInterventionsModule"]
    arms["armGroups"][0]["interventionNames"] = given
    arms["interventions"][2] = {"type": "DRUG", "name": "Standard of care"}
    record = read_study(tmp_path, raw)
    stated = [fact for fact in record.facts if fact.predicate.startswith("arm_")]
    assert [fact.predicate for fact in stated] == predicates
    assert all(fact.object == "SUBSTANCE:losartan" for fact in stated)


def test_adverse_events_are_those_that_affected_most(tmp_path: Path) -> None:
    raw = study()
    raw["resultsSection"]["adverseEventsModule"]["otherEvents"] = [
        {
            "term": f"Term {number}",
            "stats": [
                {"groupId": "EG000", "numAffected": number, "numAtRisk": 50},
                {"groupId": "EG001", "numAffected": 0, "numAtRisk": 50},
            ],
        }
        for number in range(40)
    ]
    record = read_study(tmp_path, raw)
    events = [state(fact) for fact in record.facts if fact.predicate == "adverse_event"]
    terms = list(dict.fromkeys(qualifiers["term"] for _, _, qualifiers in events))
    assert terms == [f"Term {number}" for number in range(40 - MAX_EVENT_TERMS, 40)]
    assert len(events) == 2 * MAX_EVENT_TERMS


@pytest.mark.parametrize(
    ("kind", "citation", "predicate"),
    [
        ("RESULT", "Lacro RV. Atenolol. N Engl J Med. 2014 Nov 27;371(22):2061-71.", "reports"),
        ("RESULT", "Brooke BS. Blockade. N Engl J Med. 2006 Jun 26;358(26):2787-95.", "cites"),
        ("RESULT", "Early. Title. Lancet. 2007 Jan;365(9455):1.", "reports"),  # in its month
        ("RESULT", "No month. Title. Lancet. 2007;365(9455):1.", "reports"),
        ("RESULT", "No month. Title. Lancet. 2006;365(9455):1.", "cites"),
        ("RESULT", "Late. Practice of 2005. 2014 Spring;36:1. Erratum: X. 2015 Jan;1.", "reports"),
        ("RESULT", "", "reports"),
        ("BACKGROUND", "Later. Title. Lancet. 2014 Nov 27;371(22):2061-71.", "cites"),
        ("DERIVED", "Early. Title. Lancet. 2001 Jan;365(9455):1.", "named"),
    ],
)
def test_a_paper_older_than_the_trial_has_no_results_of_it(
    tmp_path: Path, kind: str, citation: str, predicate: str
) -> None:
    raw = study()
    reference = {"pmid": "12345", "type": kind, "citation": citation}
    raw["protocolSection"]["referencesModule"]["references"] = [reference]
    predicates = {
        "reports": "reports_results_in",
        "cites": "cites_paper",
        "named": "named_in_paper",
    }
    linked = [fact.predicate for fact in read_study(tmp_path, raw).facts if "PMID" in fact.object]
    assert linked == [predicates[predicate]]


# --- bad input -------------------------------------------------------------------------


def test_a_bad_field_costs_only_that_field(tmp_path: Path) -> None:
    sound = read_study(tmp_path, study())
    raw = study()
    protocol = raw["protocolSection"]
    protocol["statusModule"]["startDateStruct"]["date"] = "2019-13"
    protocol["designModule"]["enrollmentInfo"]["count"] = "many"
    protocol["referencesModule"]["references"][0]["pmid"] = "PMC12"
    raw["resultsSection"]["adverseEventsModule"]["eventGroups"][0]["seriousNumAffected"] = 304
    record = read_study(tmp_path, raw)
    lost = {fact.predicate for fact in set(sound.facts) - set(record.facts)}
    assert lost == {"start_date", "enrolment", "reports_results_in", "serious_adverse_events"}
    assert len(record.facts) == len(sound.facts) - 4
    assert {field.rpartition(".")[2]: reason for field, reason in record.problems} == {
        "count": "must be a whole number, not 'many'",
        "date": "no date: '2019-13' (month must be in 1..12)",
        "pmid": "no PMID: 'PMC12'",
        "seriousNumAffected": "304 of 303 participants affected",
    }


def rename(value: Any, old: str, new: str) -> Any:
    """The JSON value with a field renamed wherever it stands."""
    return json.loads(json.dumps(value).replace(f'"{old}":', f'"{new}":'))


@pytest.mark.parametrize(
    ("old", "lost"),
    [
        ("sponsorCollaboratorsModule", {"lead_sponsor", "collaborator"}),
        ("overallStatus", {"overall_status"}),
        ("phases", {"trial_phase"}),
        ("measure", {"primary_outcome"}),
        ("facility", {"trial_site"}),
        ("otherEvents", {"adverse_event"}),
        ("enrollmentInfo", {"enrolment"}),
    ],
)
def test_a_renamed_field_is_named(tmp_path: Path, old: str, lost: set[str]) -> None:
    sound = read_study(tmp_path, study())
    record = read_study(tmp_path, rename(study(), old, f"{old}X"))
    assert {fact.predicate for fact in set(sound.facts) - set(record.facts)} == lost
    reasons = {field.rpartition(".")[2]: reason for field, reason in record.problems}
    assert "renamed" in reasons[f"{old}X"]


@pytest.fixture
def real_studies(shared_data: Path) -> Iterator[list[str]]:
    with gzip.open(shared_data / "trials" / "ctgov_v2_all.jsonl.gz", "rt") as lines:
        yield [next(lines) for _ in range(40)]


@pytest.mark.parametrize(
    ("old", "reason"),
    [
        ("protocolSection", "protocolSection: is missing"),
        ("nctId", "protocolSection.identificationModule.nctId: is missing"),
        ("briefTitle", "protocolSection.identificationModule.briefTitle: is missing"),
    ],
)
def test_a_study_without_its_number_hides_no_other(
    tmp_path: Path, real_studies: list[str], old: str, reason: str
) -> None:
    path = tmp_path / "studies.jsonl"
    damaged = [*real_studies]
    damaged[3] = json.dumps(rename(json.loads(damaged[3]), old, f"{old}X")) + "\n"
    damaged[5] = "{broken\n"
    path.write_text("".join(damaged))
    records, unusable = read(path)
    assert len(records) == 38
    assert [record.where for record in unusable] == ["line 4", "line 6"]
    assert unusable[0].reason.startswith(reason)


def test_a_file_cut_in_half_gives_what_came_before(tmp_path: Path, real_studies: list[str]) -> None:
    whole, cut = tmp_path / "whole.jsonl.gz", tmp_path / "cut.jsonl.gz"
    whole.write_bytes(gzip.compress("".join(real_studies).encode()))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    all_records, _ = read(whole)
    records, unusable = read(cut)
    assert 0 < len(records) < len(all_records) == 40
    assert records == all_records[: len(records)]
    assert [record.where for record in unusable if "gzip" in record.reason] == [
        "the rest of the file"
    ]


def test_files_of_other_registries_give_no_facts(shared_data: Path) -> None:
    for name in ("fda/livertox_pages.jsonl.gz", "fda/patent.txt.gz", "fda/drugsatfda.zip"):
        records, unusable = read(shared_data / name)
        assert not records
        assert unusable
    records, unusable = read(shared_data / "fda" / "drug_labels.jsonl.gz")
    assert not records
    assert Counter(record.reason for record in unusable) == {
        "protocolSection: is missing: give it": 300
    }


def test_pages_of_the_api_are_read_too(tmp_path: Path) -> None:
    page = {"studies": [study(), None], "nextPageToken": "x"}
    for text in (json.dumps(page), json.dumps(page, indent=2)):
        (tmp_path / "page.json").write_text(text)
        records, unusable = read(tmp_path / "page.json")
        assert [record.record_id for record in records] == ["NCT00429364"]
        assert [record.where.endswith("study 2") for record in unusable] == [True]


@pytest.mark.timeout(120)
def test_the_whole_file_gives_declared_facts(shared_data: Path) -> None:
    records, unusable = read(shared_data / "trials" / "ctgov_v2_all.jsonl.gz")
    assert (len(records), len(unusable)) == (1656, 0)
    counts = Counter(fact.predicate for record in records for fact in record.facts)
    assert counts["lead_sponsor"] == counts["overall_status"] == 1656
    for predicate in counts:
        declared = FACT_PREDICATES[predicate]
        if declared.cardinality == "functional":
            assert max(map(count_values(predicate), records)) == 1


def count_values(predicate: str) -> Any:
    return lambda record: len(set(values(record, predicate)))
