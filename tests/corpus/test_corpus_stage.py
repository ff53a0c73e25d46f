"""The corpus stage through Ray Data: the real files, resuming, and the error when nothing can be read."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from medr_ray.core.config import CorpusConfig, PipelineConfig, RunConfig
from medr_ray.core.errors import DataError
from medr_ray.core.run import StageContext, run_directory
from medr_ray.corpus.stage import CORPUS

pytestmark = pytest.mark.slow


def _context(root: Path, *sources: str, limit: int | None = None) -> StageContext:
    config = PipelineConfig(
        run=RunConfig(name="t", root=str(root)), corpus=CorpusConfig(sources=sources, limit_per_file=limit))
    run = run_directory(config)
    return StageContext(config, run, run.stage("corpus"), Console(file=io.StringIO()))


@pytest.mark.usefixtures("ray_local")
def test_embedded_files_are_50_783_citations(tmp_path: Path) -> None:
    context = _context(tmp_path, "embedded")
    assert CORPUS.execute(context) == {
        "files": 2, "records": 50_788, "citations": 50_783, "revised": 5, "deletions": 20, "deletions_hit": 0,
        "books": 0, "quarantined_records": 0, "quarantined_files": 0, "with_abstract": 33_272}
    pmids = context.directory.read_table("citations", ["pmid"])["pmid"]
    assert len(pmids.unique()) == len(pmids) == 50_783


@pytest.mark.usefixtures("ray_local")
def test_a_stage_resumes_from_its_parts_with_the_same_bytes(shared_data: Path, tmp_path: Path) -> None:
    source = str(shared_data / "pubmed" / "pubmed21n*.xml.gz")
    whole, killed = _context(tmp_path / "a", source), _context(tmp_path / "b", source)
    counts = CORPUS.execute(whole)
    CORPUS.execute(killed)
    (killed.directory.local / "parts" / "part-00002.json").unlink()
    (killed.directory.local / "parts" / "part-00002.parquet").write_bytes(b"half a file")
    (killed.directory.local / "citations" / "part-00004.parquet").unlink()
    kept = (killed.directory.local / "parts" / "part-00001.parquet").stat().st_mtime_ns
    assert CORPUS.execute(killed) == counts
    assert (killed.directory.local / "parts" / "part-00001.parquet").stat().st_mtime_ns == kept
    for name in whole.directory.names("citations"):
        assert whole.directory.read_bytes(f"citations/{name}") == killed.directory.read_bytes(f"citations/{name}")


@pytest.mark.usefixtures("ray_local")
def test_one_bad_file_is_quarantined_and_all_bad_is_an_error(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = (shared_data / "pubmed" / "pubmed21n1000_netsynergy.xml.gz").read_bytes()
    (folder / "a.xml.gz").write_bytes(good[: len(good) // 2])
    with pytest.raises(DataError, match=r"a\.xml\.gz"):
        CORPUS.execute(_context(tmp_path / "bad", str(folder)))
    (folder / "b.xml.gz").write_bytes(good)
    context = _context(tmp_path / "mixed", str(folder))
    counts = CORPUS.execute(context)
    assert (counts["files"], counts["quarantined_files"]) == (2, 1)
    assert counts["citations"] > 0
    assert b'"file":"a.xml.gz","position":null,"reason":"' in context.directory.read_bytes("quarantine.jsonl")
