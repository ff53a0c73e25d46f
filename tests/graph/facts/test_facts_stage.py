"""The facts stage over records of ClinicalTrials.gov: what is stated, what is set aside, and what a
newer file makes anew."""

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.parts import Parts
from medr_ray.core.records import Fact, FactEvidence, FactSource, RegistryEntity, to_table
from medr_ray.core.run import RunDirectory, StageContext
from medr_ray.entities.form_patterns import write_lexicon
from medr_ray.graph.facts.artifacts import FACTS
from medr_ray.graph.facts.fact_store import FactStore
from medr_ray.graph.facts.stage import (
    FACTS_STAGE,
    FactWorker,
    _merge_entities,
    _read_facts,
    execute_facts,
    keep_newest,
)
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.registries import FactCollector
from medr_ray.knowledge.registries.literals import parse_date

_STUDIES = 12


@pytest.fixture
def studies(shared_data: Path) -> list[dict[str, Any]]:
    """The first studies of the real file."""
    with gzip.open(shared_data / "trials" / "ctgov_v2_all.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in itertools.islice(lines, _STUDIES)]


def write_studies(path: Path, studies: list[dict[str, Any]], *further: str) -> None:
    lines = [*map(json.dumps, studies), *further]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def prepare(root: Path, *files: Path) -> StageContext:
    paths = [str(file) for file in files]
    sources = [{"source": "clinical_trials", "paths": paths}] if paths else []
    config = PipelineConfig.model_validate(
        {"run": {"root": str(root)}, "facts": {"sources": sources, "workers": 1}}
    )
    run = RunDirectory(str(root / "run"))
    concepts = [Concept("DRUG:1", "Losartan", "drug", ("losartan",), "")]
    write_lexicon(run.stage("entities"), concepts)
    return StageContext(config, run, run.stage("facts"), Console(quiet=True))


def read_nct_number(study: dict[str, Any]) -> str:
    return str(study["protocolSection"]["identificationModule"]["nctId"])


@pytest.mark.slow
def test_records_become_facts_and_a_newer_file_changes_only_its_part(
    ray_local: None, tmp_path: Path, studies: list[dict[str, Any]]
) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write_studies(first, studies[:8], '{"cut in half')
    write_studies(second, studies[8:])
    context = prepare(tmp_path, first, second)
    counts = execute_facts(context)
    assert counts["records"] == _STUDIES
    assert counts["by_source"]["clinical_trials"]["lead_sponsor"] == _STUDIES
    assert counts["set_aside"] >= 1
    quarantine = context.directory.read_bytes("quarantine.jsonl").decode()
    assert "line 9" in quarantine
    assert str(first) in quarantine

    # The store gives every fact of a record, with the record's own words.
    store = FactStore.open(context.directory)
    study = studies[0]["protocolSection"]
    trial = f"NCT:{read_nct_number(studies[0])}"
    facts = store.facts_about(trial)
    sponsor = next(fact for fact in facts if fact.predicate == "lead_sponsor")
    assert sponsor.evidence.value == study["sponsorCollaboratorsModule"]["leadSponsor"]["name"]
    assert sponsor.evidence.record_id == read_nct_number(studies[0])
    assert store.name_of(trial) == study["identificationModule"]["briefTitle"]
    assert sponsor in store.facts_about(sponsor.object)

    # A newer edition of one file: the other part stays, and what is stated again keeps its id.
    studies[8]["protocolSection"]["statusModule"]["overallStatus"] = "UNKNOWN"
    write_studies(second, studies[8:])
    newer = execute_facts(context)
    assert newer["parts_made"] == 1
    changed = f"NCT:{read_nct_number(studies[8])}"
    before = {fact.fact_id for fact in facts}
    later_store = FactStore.open(context.directory)
    assert {fact.fact_id for fact in later_store.facts_about(trial)} == before
    statuses = [
        fact for fact in later_store.facts_about(changed) if fact.predicate == "overall_status"
    ]
    assert [fact.evidence.value for fact in statuses] == ["UNKNOWN"]


def test_a_part_that_was_cut_off_is_made_again_with_equal_ids(
    tmp_path: Path, studies: list[dict[str, Any]]
) -> None:
    file = tmp_path / "a.jsonl"
    write_studies(file, studies[:3])
    context = prepare(tmp_path, file)
    worker = FactWorker(context.run, context.directory)
    unit = {
        "name": "clinical_trials-000",
        "source": "clinical_trials",
        "input": "x",
        "registry": "",
        "uris": [str(file)],
        "file": "",
        "start": 0,
    }
    worker({"unit": unit, "made_from": "x"})
    path = f"{FACTS.name}/clinical_trials-000.parquet"
    complete = context.directory.read_records(path, Fact)
    # As a kill leaves it: a table, and no marker.
    context.directory.remove(f"{FACTS.name}/_clinical_trials-000.json")
    stale = Parts(context.directory, FACTS.name).discard_stale({"clinical_trials-000": "x"})
    assert stale == ["clinical_trials-000"]
    worker({"unit": unit, "made_from": "x"})
    assert context.directory.read_records(path, Fact) == complete


def test_the_stage_depends_on_the_content_of_its_files(
    tmp_path: Path, studies: list[dict[str, Any]]
) -> None:
    file = tmp_path / "a.jsonl"
    write_studies(file, studies[:1])
    config = prepare(tmp_path, file).config
    inputs = FACTS_STAGE.inputs(config)
    assert FACTS_STAGE.inputs(config) == inputs
    write_studies(file, studies[:2])
    assert FACTS_STAGE.inputs(config) != inputs


def test_a_short_name_of_the_fda_is_its_company_and_a_sponsor_of_that_name_is_not(
    tmp_path: Path,
) -> None:
    context = prepare(tmp_path)
    directory = context.directory
    short, full = "COMPANY:unichem", "COMPANY:unichem laboratory"

    def company(entity_id: str, name: str, source: FactSource) -> RegistryEntity:
        return RegistryEntity(entity_id, "company", (name,), (), source)

    rows: dict[FactSource, list[RegistryEntity]] = {
        "orange_book": [RegistryEntity(full, "company", ("UNICHEM", "Unichem"), (), "orange_book")],
        "drugs_at_fda": [company(short, "UNICHEM", "drugs_at_fda")],
        "clinical_trials": [company(short, "Unichem", "clinical_trials")],
    }
    for source, entities in rows.items():
        directory.write_table(
            f"parts/entities/{source}.parquet", to_table(RegistryEntity, entities)
        )
        evidence = FactEvidence(source, "1", "sponsor", "UNICHEM")
        named = entities[0].entity_id
        fact = Fact(f"fact-{source}", "FDA:1", "application_sponsor", named, None, "", (), evidence)
        directory.write_table(f"facts/{source}.parquet", to_table(Fact, [fact]))
    merged, full_ids = _merge_entities(directory, list(rows))
    assert {row["entity_id"]: row["source"] for row in merged.to_pylist()} == {
        full: "orange_book",
        short: "clinical_trials",
    }
    objects = {
        source: facts["object"][0].as_py()
        for source, facts in zip(rows, _read_facts(directory, list(rows), full_ids), strict=True)
    }
    assert objects == {"orange_book": full, "drugs_at_fda": full, "clinical_trials": short}


def test_a_later_edition_replaces_what_it_states_otherwise() -> None:
    def expiry(text: str, as_of: str, product: str) -> Fact:
        facts = FactCollector("orange_book", "NDA020123", "A drug", as_of)
        facts.add_value(
            "PATENT:US1", "patent_expiry_date", parse_date(text), "Expiry", text, product=product
        )
        return facts.build().facts[0]

    earlier = expiry("2020-01-01", "2018-03-14", "001")
    later = expiry("2021-06-30", "2025-04-08", "001")
    of_another_product = expiry("2020-01-01", "2018-03-14", "002")
    contradicting = expiry("2022-01-01", "2025-04-08", "001")
    assert keep_newest([earlier, later, of_another_product]) == [later, of_another_product]
    assert keep_newest([later, contradicting]) == [later, contradicting]
