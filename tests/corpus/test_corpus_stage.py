"""The corpus stage through Ray Data: the real files, resuming, and the error when nothing can be
read."""

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from medr_ray.core.config import CorpusConfig, PipelineConfig, RunConfig
from medr_ray.core.errors import DataError
from medr_ray.core.run import StageContext, StageDirectory, open_run
from medr_ray.corpus.corpus_files import list_corpus_files
from medr_ray.corpus.ingest import read_corpus_file
from medr_ray.corpus.stage import CORPUS_STAGE
from medr_ray.pipeline import run_pipeline

pytestmark = pytest.mark.slow


_QUIET = Console(file=io.StringIO())


def _config(root: Path, *sources: str, limit: int | None = None) -> PipelineConfig:
    return PipelineConfig(
        run=RunConfig(name="t", root=str(root)),
        corpus=CorpusConfig(sources=sources, limit_per_file=limit),
    )


def _context(root: Path, *sources: str, limit: int | None = None) -> StageContext:
    config = _config(root, *sources, limit=limit)
    run = open_run(config)
    return StageContext(config, run, run.stage("corpus"), Console(file=io.StringIO()))


@pytest.mark.usefixtures("ray_local")
def test_embedded_files_are_50_783_citations(tmp_path: Path) -> None:
    context = _context(tmp_path, "embedded")
    assert CORPUS_STAGE.execute(context) == {
        "files": 2,
        "records": 50_788,
        "citations": 50_783,
        "revised": 5,
        "deletions": 20,
        "deletions_hit": 0,
        "books": 0,
        "quarantined_records": 0,
        "quarantined_files": 0,
        "with_abstract": 33_311,
    }
    pmids = context.directory.read_table("citations", ["pmid"])["pmid"]
    assert len(pmids.unique()) == len(pmids) == 50_783


def _file(directory: StageDirectory, folder: str, number: int) -> Path:
    return sorted((directory.local / folder).glob("*.parquet"))[number]


def _marker(part: Path) -> Path:
    return part.with_name(f"_{part.stem}.json")


def _tables(directory: StageDirectory) -> dict[str, bytes]:
    return {
        name: directory.read_bytes(f"citations/{name}")
        for name in directory.list_files("citations")
    }


@pytest.mark.usefixtures("ray_local")
def test_a_stage_resumes_from_its_parts_with_the_same_bytes(
    shared_data: Path, tmp_path: Path
) -> None:
    source = str(shared_data / "pubmed" / "pubmed21n*.xml.gz")
    whole, killed = _context(tmp_path / "a", source), _context(tmp_path / "b", source)
    counts = CORPUS_STAGE.execute(whole)
    CORPUS_STAGE.execute(killed)
    broken = _file(killed.directory, "parts", 2)
    _marker(broken).unlink()
    broken.unlink()
    broken.write_bytes(b"half a file")
    _marker(_file(killed.directory, "citations", 4)).unlink()
    (killed.directory.local / "parts" / ".x.parquet.0a1b2c3d.partial").write_bytes(b"cut off")
    kept = _file(killed.directory, "parts", 1).stat().st_mtime_ns
    assert CORPUS_STAGE.execute(killed) == counts
    assert _file(killed.directory, "parts", 1).stat().st_mtime_ns == kept
    assert _tables(killed.directory) == _tables(whole.directory)
    assert not list((killed.directory.local / "parts").glob("*.partial"))


@pytest.mark.usefixtures("ray_local")
def test_an_update_over_a_finished_baseline_equals_a_rebuild_and_reads_only_what_is_new(
    shared_data: Path, tmp_path: Path
) -> None:
    """The real pair, then a list of deletions with one PMID of the baseline; another file stays as
    it is."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("pubmed21n1000_netsynergy", "pubmed26n1334_pmparser_baseline"):
        shutil.copy(shared_data / "pubmed" / f"{name}.xml.gz", folder)
    run_pipeline(_config(tmp_path / "grown", str(folder)), None, "corpus", console=_QUIET)
    grown = open_run(_config(tmp_path / "grown", str(folder))).stage("corpus")
    before = {path: path.stat() for path in grown.local.glob("*/*.parquet")}
    shutil.copy(shared_data / "pubmed" / "pubmed26n1335_pmparser_update.xml.gz", folder)
    pmid = grown.read_table("citations", ["pmid"])["pmid"][-1].as_py()
    (folder / "pubmed26n1336.xml").write_text(
        f'<PubmedArticleSet><DeleteCitation><PMID Version="1">{pmid}</PMID></DeleteCitation>'
        "</PubmedArticleSet>"
    )
    run_pipeline(_config(tmp_path / "grown", str(folder)), None, "corpus", console=_QUIET)
    rebuilt = open_run(_config(tmp_path / "rebuilt", str(folder))).stage("corpus")
    run_pipeline(_config(tmp_path / "rebuilt", str(folder)), None, "corpus", console=_QUIET)
    assert _tables(grown) == _tables(rebuilt)
    assert pmid not in grown.read_table("citations", ["pmid"])["pmid"].to_pylist()
    assert grown.manifest()["counts"] == rebuilt.manifest()["counts"]  # type: ignore[index]
    after = {path: path.stat() for path in before}
    changed = [path for path in before if before[path].st_ino != after[path].st_ino]
    assert [(path.parent.name, path.name[:11]) for path in changed] == [
        ("citations", "pubmed26n13")
    ]
    for update in ("pubmed26n1335_pmparser_update.xml.gz", "pubmed26n1336.xml"):  # and back again
        (folder / update).unlink()
    run_pipeline(_config(tmp_path / "grown", str(folder)), None, "corpus", console=_QUIET)
    assert sorted(
        path.name for path in before if path.parent.name == "citations"
    ) == grown.list_files("citations")


@pytest.mark.usefixtures("ray_local")
def test_the_citations_do_not_depend_on_the_order_in_which_tasks_end(
    shared_data: Path, tmp_path: Path
) -> None:
    """One task at a time, and as many as there are CPUs: the same bytes."""
    source = str(shared_data / "pubmed" / "pubmed2*.xml.gz")
    whole = _context(tmp_path / "a", source)
    CORPUS_STAGE.execute(whole)
    alone = _context(tmp_path / "b", source)
    for file in reversed(list_corpus_files([source])):
        read_corpus_file(file, alone.directory, None)
    CORPUS_STAGE.execute(alone)
    assert _tables(alone.directory) == _tables(whole.directory)


@pytest.mark.usefixtures("ray_local")
def test_one_bad_file_is_quarantined_and_all_bad_is_an_error(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = (shared_data / "pubmed" / "pubmed21n1000_netsynergy.xml.gz").read_bytes()
    (folder / "a.xml.gz").write_bytes(good[: len(good) // 2])
    with pytest.raises(DataError, match=r"a\.xml\.gz"):
        CORPUS_STAGE.execute(_context(tmp_path / "bad", str(folder)))
    (folder / "b.xml.gz").write_bytes(good)
    context = _context(tmp_path / "mixed", str(folder))
    counts = CORPUS_STAGE.execute(context)
    assert (counts["files"], counts["quarantined_files"]) == (2, 1)
    assert counts["citations"] > 0
    quarantine = context.directory.read_bytes("quarantine.jsonl")
    assert b'"file":"a.xml.gz","offset":null,"position":null,"reason":"' in quarantine
