"""``medr facts show`` and the facts of ``medr graph show``: what records state, each with its
source, field, printed value and date."""

import json
from pathlib import Path

import pytest
from support.graph_run import write_graph
from support.small_facts import write_facts

from medr_ray.cli.main import main
from medr_ray.knowledge.registries import FactCollector
from medr_ray.knowledge.registries.literals import parse_date

TRIAL = "NCT:NCT00000001"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a graph, and the facts of a trial about a disease of the graph."""
    run = write_graph(tmp_path_factory.mktemp("runs"))
    facts = FactCollector("clinical_trials", "NCT00000001", "Losartan in Kuru", "2019-07-12")
    facts.add_entity(TRIAL, "trial", "Losartan in Kuru")
    facts.add_entity("COMPANY:acme", "company", "Acme, Inc.", "Acme")
    facts.add_link(TRIAL, "lead_sponsor", "COMPANY:acme", "leadSponsor.name", "Acme, Inc.")
    facts.add_value(TRIAL, "start_date", parse_date("2015-03"), "startDateStruct.date", "2015-03")
    facts.add_link(TRIAL, "studies_condition", "D:4", "conditions[0]", "Kuru")
    facts.add_entity("PRODUCT:NDA000001/001", "product", "ACME")
    facts.add_entity("PRODUCT:NDA000001/002", "product", "LOSAR")
    record = facts.build()
    write_facts(run, record.facts, record.entities)
    return Path(run.local.parent)


def medr(root: Path, *arguments: str) -> int | str | None:
    (root / "c.yaml").write_text("", encoding="utf-8")
    group, command, *rest = arguments
    with pytest.raises(SystemExit) as exited:
        main([group, command, "-c", str(root / "c.yaml"), "--set", f"run.root={root}", *rest])
    return exited.value.code


def read_output(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, however its lines were broken."""
    return " ".join(capsys.readouterr().out.split())


def test_each_fact_is_shown_with_source_record_field_value_and_date(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "facts", "show", "losartan in kuru") == 0
    output = read_output(capsys)
    assert f"Losartan in Kuru {TRIAL} trial" in output
    assert (
        "→ lead_sponsor (1) Acme, Inc. COMPANY:acme clinical_trials NCT00000001 leadSponsor.name: "
        "“Acme, Inc.”, as of 2019-07-12" in output
    )
    assert "→ start_date (1) 2015-03 clinical_trials" in output


def test_the_other_end_of_a_fact_shows_it_too(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "facts", "show", "COMPANY:acme", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["names"] == ["Acme, Inc.", "Acme"]
    assert [fact["subject"] for fact in shown["facts"]] == [TRIAL]
    assert [fact["evidence"]["value"] for fact in shown["facts"]] == ["Acme, Inc."]


def test_the_graph_shows_relations_and_facts_of_one_entity(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "graph", "show", "D:4") == 0
    output = read_output(capsys)
    assert "→ treated_with (1) Losartan DRUG:1" in output
    assert f"← studies_condition (1) Losartan in Kuru {TRIAL}" in output


def test_an_entity_without_facts_is_not_named_a_second_time(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "graph", "show", "DRUG:1") == 0
    output = read_output(capsys)
    assert "← treated_with" in output
    assert output.startswith("Losartan DRUG:1")
    assert not output.endswith("DRUG:1 DRUG:1")


def test_the_graph_shows_what_only_records_name(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "graph", "show", "acme") == 0
    assert "← lead_sponsor (1) Losartan in Kuru" in read_output(capsys)


def test_a_name_that_no_record_has_gets_the_nearest(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "facts", "show", "Losartan in Kuro") == 1
    assert "the nearest are Losartan in Kuru" in " ".join(capsys.readouterr().err.split())


def test_a_product_is_shown_by_a_name_that_nothing_else_has(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "facts", "show", "losar", "--json") == 0
    assert json.loads(capsys.readouterr().out)["entity_id"] == "PRODUCT:NDA000001/002"
    assert medr(root, "facts", "show", "acme", "--json") == 0
    assert json.loads(capsys.readouterr().out)["entity_id"] == "COMPANY:acme"
