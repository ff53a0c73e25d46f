"""The snapshot gives back the facts it was made of, and the packaged one is whole and small."""

import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from medr_ray.core.errors import DataError
from medr_ray.knowledge.registries.literals import make_category, make_number, parse_date
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecords
from medr_ray.knowledge.registries.snapshot import (
    MAX_PACKAGED_BYTES,
    SourceFile,
    find_packaged_snapshot,
    list_snapshot_sources,
    read_snapshot,
    snapshot_digest,
    snapshot_manifest,
    write_manifest,
    write_source,
)
from medr_ray.knowledge.registries.snapshot_build import build_source, group_files
from medr_ray.knowledge.registries.sources import REGISTRIES, recognise_registry

TRIAL = (
    '{"protocolSection": {"identificationModule": {"nctId": "NCT00000001", "briefTitle": "T"}, '
    '"designModule": {"studyType": "INTERVENTIONAL"}}}\n'
)


def _collect_trial(number: str) -> RecordFacts:
    facts = FactCollector("clinical_trials", number, f"Trial {number}", "2024-05-01")
    trial = facts.add_entity(f"NCT:{number}", "trial", number)
    company = facts.add_company("Genzyme, a Sanofi Company", "leadSponsor.name")
    facts.add_link(trial, "lead_sponsor", company, "leadSponsor.name", "Genzyme, a Sanofi Company")
    paper = facts.add_entity("PMID:123", "paper")
    facts.add_link(trial, "cites_paper", paper, "references.0.pmid", "123", role="background")
    facts.try_value(trial, "start_date", parse_date, "startDate", "2019-08")
    facts.try_value(trial, "enrolment", make_number, "enrollment", "1,234")
    facts.add_value(trial, "trial_phase", make_category("PHASE2"), "phases.0", "PHASE2")
    facts.try_value(trial, "completion_date", parse_date, "completionDate", "2019-13")
    return facts.build()


def _write(directory: Path, records: list[RecordFacts]) -> UnusableRecords:
    unusable = UnusableRecords()
    files = [SourceFile("studies.jsonl", "0" * 64)]
    entry = write_source(directory, "clinical_trials", records, files, unusable)
    write_manifest(directory, {"clinical_trials": entry})
    return unusable


def test_facts_come_back_as_they_were(tmp_path: Path) -> None:
    records = [_collect_trial("NCT00000001"), _collect_trial("NCT00000002")]
    unusable = _write(tmp_path, records)
    read = list(read_snapshot("clinical_trials", tmp_path))
    for record, expected in zip(read, records, strict=True):
        assert record.facts == expected.facts
        assert (record.record_id, record.title) == (expected.record_id, expected.title)
        assert set(record.entities) == set(expected.entities)
    assert [item.where for item in unusable] == [
        "NCT00000001: completionDate",
        "NCT00000002: completionDate",
    ]
    manifest = snapshot_manifest(tmp_path)["sources"]["clinical_trials"]
    assert manifest["by_predicate"]["lead_sponsor"] == 2
    assert (manifest["unusable"], manifest["files"][0]["name"]) == (2, "studies.jsonl")


def test_equal_records_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _write(tmp_path / name, [_collect_trial("NCT00000001")])
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_predicates_that_are_prose_are_left_out_and_counted(tmp_path: Path) -> None:
    facts = FactCollector("drug_labels", "x", "A label", "2020-01-01")
    label = facts.add_entity("LABEL:x", "label", "A label")
    facts.add_value(label, "has_boxed_warning", make_category("Yes"), "boxed_warning", "WARNING")
    facts.add_value(label, "mechanism_of_action", make_category("Text"), "mechanism", "Text")
    entry = write_source(tmp_path, "drug_labels", [facts.build()], [], UnusableRecords())
    write_manifest(tmp_path, {"drug_labels": entry})
    assert entry["left_out"] == {"mechanism_of_action": 1}
    (record,) = read_snapshot("drug_labels", tmp_path)
    assert [fact.predicate for fact in record.facts] == ["has_boxed_warning"]


def test_tables_that_are_not_the_manifest_s_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, [_collect_trial("NCT00000001")])
    (tmp_path / "clinical_trials.records.parquet").write_bytes(b"other")
    with pytest.raises(DataError, match=r"not those of manifest\.json"):
        list(read_snapshot("clinical_trials", tmp_path))
    with pytest.raises(DataError, match="no orphanet"):
        snapshot_digest("orphanet", tmp_path)
    with pytest.raises(DataError, match="no snapshot"):
        snapshot_manifest(tmp_path / "elsewhere")


# --- the packaged one -----------------------------------------------------------------


def test_packaged_snapshot_has_all_registries_within_its_size() -> None:
    assert set(list_snapshot_sources()) == set(REGISTRIES)
    size = sum(path.stat().st_size for path in find_packaged_snapshot().iterdir())
    assert size <= MAX_PACKAGED_BYTES
    for entry in snapshot_manifest()["sources"].values():
        assert entry["licence"]
        assert entry["attribution"]
        assert entry["files"]


def test_packaged_snapshot_has_the_facts_of_its_manifest() -> None:
    counts: Counter[str] = Counter()
    longest = 0
    for record in read_snapshot("drug_labels"):
        counts.update(fact.predicate for fact in record.facts)
        longest = max(longest, *(len(fact.evidence.value) for fact in record.facts))
    assert counts == snapshot_manifest()["sources"]["drug_labels"]["by_predicate"]
    assert longest < 200  # names and numbers, no prose


# --- files ----------------------------------------------------------------------------


def _write_zip(path: Path, member: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "text")
    return path


def test_files_are_recognised_by_content(tmp_path: Path) -> None:
    texts = {
        "clinical_trials": TRIAL,
        "drug_labels": '{"set_id": "x", "title": "Label"}\n',
        "livertox": '{"drug": "X", "sections": {}}\n',
        "orange_book": "Appl_Type~Appl_No~Product_No~Patent_No\n",
        "orphanet": '<?xml version="1.0"?>\n<JDBOR date="2021-03-01"></JDBOR>',
    }
    for source, text in texts.items():
        path = tmp_path / "some.name"
        path.write_text(text)
        assert recognise_registry(str(path)) == source
    page = {"nextPageToken": "x", "totalCount": 1, "studies": [json.loads(TRIAL)]}
    for text in (json.dumps(page, indent=2), json.dumps(page)):
        path = tmp_path / "page.json"
        path.write_text(text)
        assert recognise_registry(str(path)) == "clinical_trials"
        # What is recognised is read.
        unusable = UnusableRecords()
        assert len(list(REGISTRIES["clinical_trials"].read([str(path)], unusable))) == 1
        assert not unusable
    zipped = _write_zip(tmp_path / "a.zip", "Applications.txt")
    assert recognise_registry(str(zipped)) == "drugs_at_fda"
    zipped = _write_zip(tmp_path / "b.zip", "folder/Products.txt")
    assert recognise_registry(str(zipped)) == "orange_book"


@pytest.mark.parametrize(
    "content", [b"", b"name,age\n", b"PK\x03\x04cut", b"[1]\n", b"{", b'{"a": {"studies": 1}}']
)
def test_file_of_no_registry_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "strange.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"strange\.txt"):
        group_files([str(path)])


def test_source_is_built_with_what_could_not_be_used_listed(tmp_path: Path) -> None:
    path = tmp_path / "studies.jsonl"
    path.write_text(TRIAL + "{broken\n")
    row = {"source": "clinical_trials", "paths": [str(path)], "directory": str(tmp_path / "out")}
    entry = build_source(row)["entry"]
    quarantine = (tmp_path / "out" / "clinical_trials.quarantine.jsonl").read_text()
    assert "line 2" in quarantine
    assert (entry["records"], entry["unusable"]) == (1, len(quarantine.splitlines()))


def test_files_without_a_record_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "studies.jsonl"
    path.write_text("{broken\n")
    row = {"source": "clinical_trials", "paths": [str(path)], "directory": str(tmp_path / "out")}
    with pytest.raises(DataError, match="no record of clinical_trials"):
        build_source(row)
