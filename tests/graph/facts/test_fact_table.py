"""The facts of a run in memory: by either end, with typed values as ids, names and dates."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.small_facts import write_facts

from medr_ray.core.errors import DataError
from medr_ray.core.records import (
    Fact,
    FactEvidence,
    LiteralValue,
    RegistryEntity,
    to_table,
)
from medr_ray.core.run import RunDirectory
from medr_ray.graph.facts.artifacts import FACTS
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.knowledge.registries import FactCollector
from medr_ray.knowledge.registries.record_facts import RecordFacts

TRIAL, ACME = "NCT:NCT00000001", "COMPANY:acme"
FULL = "COMPANY:corden pharma latina spa"
SHORT = "COMPANY:corden pharma"
SPONSOR = Fact(
    fact_id="f1",
    subject="FDA:NDA018768",
    predicate="application_sponsor",
    object=FULL,
    literal=None,
    as_of="2019-07-01",
    qualifiers=(),
    evidence=FactEvidence("drugs_at_fda", "NDA018768", "Applications.SponsorName", "CORDEN PHARMA"),
)


def collect(as_of: str = "2020-05-01") -> RecordFacts:
    """The record of a trial with a sponsor, a size and a start."""
    record = FactCollector("clinical_trials", "NCT00000001", "Losartan in Marfan", as_of)
    trial = record.add_entity(TRIAL, "trial", "Losartan in Marfan")
    company = record.add_entity(ACME, "company", "Acme, Inc.")
    record.add_link(
        trial, "lead_sponsor", company, "leadSponsor.name", "ACME", sponsor_class="INDUSTRY"
    )
    size = LiteralValue("number", "604", 604.0, "participants")
    record.add_value(trial, "enrolment", size, "enrollmentInfo.count", "604")
    return record.build()


def read_table(root: Path, predicates: tuple[str, ...]) -> FactTable:
    record = collect()
    run = RunDirectory(str(root))
    write_facts(run, record.facts, record.entities)
    return FactTable.read(run.stage("facts"), predicates)


def test_a_fact_is_found_by_either_end_with_its_qualifiers_and_its_record(tmp_path: Path) -> None:
    table = read_table(tmp_path, ("lead_sponsor", "enrolment"))
    (sponsored,) = table.facts_of("lead_sponsor", TRIAL)
    assert table.facts_to("lead_sponsor", ACME) == [sponsored]
    assert sponsored.qualifier("sponsor_class") == "INDUSTRY"
    assert sponsored.qualifier("unheard_of") == ""
    assert (sponsored.source, sponsored.record_id) == ("clinical_trials", "NCT00000001")
    assert sponsored.as_of == table.newest_date("lead_sponsor") == "2020-05-01"
    assert list(table.subjects("lead_sponsor")) == [TRIAL]
    assert list(table.objects("lead_sponsor")) == [ACME]
    assert table.are_linked(TRIAL, ACME)
    assert table.are_linked(ACME, TRIAL)


def test_a_typed_value_has_an_id_and_a_number(tmp_path: Path) -> None:
    table = read_table(tmp_path, ("enrolment",))
    (size,) = table.facts_of("enrolment", TRIAL)
    assert size.object.startswith("VALUE:number/604")
    assert size.number == 604
    assert table.list_values("number") == [size.object]
    assert table.list_values("date") == []


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    table = read_table(tmp_path, ("enrolment",))
    assert table.facts_of("lead_sponsor", TRIAL) == ()
    assert not table.are_linked(TRIAL, ACME)
    assert table.type_of(ACME) is None, "no fact that was read names it"
    assert table.newest_date("lead_sponsor") == ""


def test_entities_are_found_by_any_spelling_of_their_names(tmp_path: Path) -> None:
    table = read_table(tmp_path, ("lead_sponsor",))
    assert list(table.find_by_name("ACME, inc.")) == [ACME]
    assert table.find_by_name("Another") == ()
    assert table.type_of(TRIAL) == "trial"
    assert table.names_of(ACME) == ("Acme, Inc.",)
    assert table.names_of("COMPANY:none") == ()
    assert table.ids_with_prefix("COMPANY:a") == [ACME]
    assert table.ids_with_prefix("COMPANY:b") == []


def test_facts_come_in_the_order_of_their_ids_whatever_the_order_of_the_records() -> None:
    facts: list[Fact] = []
    for number in range(5):
        record = FactCollector("clinical_trials", f"NCT0000000{number}", "A trial", "2020-05-01")
        trial = record.add_entity(f"NCT:NCT0000000{number}", "trial", "A trial")
        company = record.add_entity(ACME, "company", "Acme, Inc.")
        record.add_link(trial, "lead_sponsor", company, "leadSponsor.name", "ACME")
        facts += record.build().facts
    rows = [
        StatedFact(fact.fact_id, fact.subject, fact.predicate, fact.object, None, "", (), "hpo", "")
        for fact in facts
    ]
    ids = [fact.fact_id for fact in FactTable.build(rows, {}).facts_to("lead_sponsor", ACME)]
    again = [
        fact.fact_id for fact in FactTable.build(rows[::-1], {}).facts_to("lead_sponsor", ACME)
    ]
    assert ids == again == sorted(ids)
    assert len(ids) == 5


def test_companies_go_by_their_one_id_and_old_editions_are_left_out(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    company = RegistryEntity(FULL, "company", ("CORDEN PHARMA LATINA SPA",), (), "orange_book")
    write_facts(run, [SPONSOR], [company])
    # What a worker of the stage wrote, before the sources were put together.
    part = [replace(SPONSOR, object=SHORT), replace(SPONSOR, fact_id="f2", as_of="2018-01-01")]
    run.stage("facts").write_table(f"{FACTS.name}/drugs.parquet", to_table(Fact, part))

    table = FactTable.read(run.stage("facts"), {"application_sponsor"})

    facts = table.facts_of("application_sponsor", "FDA:NDA018768")
    assert [(fact.fact_id, fact.object) for fact in facts] == [("f1", FULL)]
    assert table.names_of(facts[0].object) == ("CORDEN PHARMA LATINA SPA",)


def test_a_run_without_facts_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no facts here"):
        FactTable.read(RunDirectory(str(tmp_path)).stage("facts"), {"lead_sponsor"})
