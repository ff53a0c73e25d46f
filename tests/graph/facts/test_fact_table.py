"""The facts of a run in memory."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.small_facts import write_facts

from medr_ray.core.errors import DataError
from medr_ray.core.records import Fact, FactEvidence, RegistryEntity, to_table
from medr_ray.core.run import RunDirectory
from medr_ray.graph.facts.artifacts import FACTS
from medr_ray.graph.facts.fact_table import FactTable

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


def test_other_predicates_are_not_read(tmp_path: Path) -> None:
    run = RunDirectory(str(tmp_path))
    write_facts(run, [SPONSOR])

    table = FactTable.read(run.stage("facts"), {"lead_sponsor"})

    assert not table.facts_of("application_sponsor", "FDA:NDA018768")


def test_a_run_without_facts_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no facts here"):
        FactTable.read(RunDirectory(str(tmp_path)).stage("facts"), {"lead_sponsor"})
