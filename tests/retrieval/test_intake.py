"""Foreign files in parts: the same parts for the same documents, wherever else in the file
something changed."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.config import DocumentSource
from medr_ray.core.errors import DataError
from medr_ray.core.parts import Parts
from medr_ray.core.run import Directory
from medr_ray.retrieval import intake

TITLE = "Hepatotoxicity"


def page(number: int, text: str = "") -> dict[str, Any]:
    filler = random.Random(number).randbytes(600).hex()
    return {"drug": f"Drug {number}", "sections": {TITLE: text or filler}, "pmids": [str(number)]}


def write(path: Path, pages: list[dict[str, Any]]) -> intake.FileBatch:
    path.write_text("".join(json.dumps(row) + "\n" for row in pages))
    (batch,) = intake.plan_batches([DocumentSource(source="livertox", paths=(str(path),))])
    return batch


def contents(directory: Directory, batch: intake.FileBatch) -> dict[str, str]:
    parts = Parts(directory, intake.READ_DOCUMENTS_FOLDER)
    return {name: parts.read_marker(name)["content"] for name in batch.part_names}


def test_a_part_changes_only_with_its_documents(tmp_path: Path) -> None:
    pages, directory = [page(number) for number in range(5000)], Directory(str(tmp_path / "index"))
    batch = write(tmp_path / "pages.jsonl", pages)
    assert batch.parts == 2
    assert intake.read_batch(batch, directory) == 5000
    before = contents(directory, batch)
    documents = [
        document for name in batch.part_names for document in intake.read_part(directory, name)
    ]
    assert len({document.document_id for document in documents}) == 5000
    revised = [page(7, "Revised."), *reversed(pages[8:]), *pages[:7]]
    again = write(tmp_path / "pages.jsonl", revised)
    assert again.made_from != batch.made_from
    assert intake.read_batch(again, directory) == 5000
    after = contents(directory, again)
    assert sorted(before[name] != after[name] for name in batch.part_names) == [False, True]


def test_of_records_with_one_id_the_last_counts_and_the_others_are_listed(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path / "index"))
    batch = write(tmp_path / "pages.jsonl", [page(1, "First."), page(2), page(1, "Second.")])
    assert intake.read_batch(batch, directory) == 2
    texts = [document.text for document in intake.read_part(directory, batch.part_name(0))]
    assert "Drug 1 (LiverTox)\nHepatotoxicity: Second." in texts
    (line,) = (
        directory.read_bytes(f"{intake.READ_DOCUMENTS_FOLDER}/{batch.name}.jsonl")
        .decode()
        .splitlines()
    )
    assert json.loads(line) == {
        "file": str(tmp_path / "pages.jsonl"),
        "where": "LIVERTOX:Drug_1",
        "reason": "a later record has the same id",
    }


def test_files_are_found_by_pattern_and_each_read_alone(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write(tmp_path / name, [page(1)])
    batches = intake.plan_batches(
        [DocumentSource(source="livertox", paths=(f"{tmp_path}/*.jsonl",))]
    )
    assert [batch.name for batch in batches] == ["livertox-000", "livertox-001"]
    together = intake.plan_batches(
        [DocumentSource(source="fda_approvals", paths=(f"{tmp_path}/*.jsonl",))]
    )
    assert [len(batch.uris) for batch in together] == [2]


def test_a_path_that_names_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.sources: trials.*no\.jsonl"):
        intake.plan_batches([DocumentSource(source="trials", paths=(str(tmp_path / "no.jsonl"),))])
