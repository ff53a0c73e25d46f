"""From files to citations: order, versions, deletions, and what is set aside."""

import gzip
import hashlib
from pathlib import Path

import polars as pl
import pytest

from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation
from medr_ray.core.run import Directory
from medr_ray.corpus.ingest import FileReport, Winners, choose_winners, first_pass, read_keys, read_reports, second_pass
from medr_ray.corpus.sources import list_sources, open_source


def _article(pmid: int, version: int = 1, title: str = "t") -> str:
    return (f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article>'
            f"<ArticleTitle>{title}</ArticleTitle></Article></MedlineCitation></PubmedArticle>")


def _write(path: Path, *elements: str) -> None:
    path.write_bytes(gzip.compress(f"<PubmedArticleSet>{''.join(elements)}</PubmedArticleSet>".encode()))


def _ingest(folder: Path, directory: Directory, limit: int | None = None) -> tuple[Winners, list[FileReport]]:
    sources = list_sources([str(folder)])
    for source in sources:
        first_pass(source, directory, limit)
    reports = read_reports(directory, sources)
    winners = choose_winners(read_keys(directory, reports), reports)
    for source in sources:
        second_pass(source.number, winners.positions.get(source.number, []), directory)
    return winners, reports


def _kept(directory: Directory) -> list[tuple[str, str]]:
    return [(one.pmid, one.title) for one in directory.read_records("citations", Citation)]


def test_the_last_record_of_the_highest_version_wins_and_order_is_kept(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    _write(folder / "a1.xml.gz", _article(1, title="old"), _article(2, 2, "v2"), _article(3),
           _article(3, title="again"))
    _write(folder / "a2.xml.gz", _article(2, 1, "late v1"), _article(1, title="new"))
    winners, _ = _ingest(folder, directory)
    assert _kept(directory) == [("2", "v2"), ("3", "again"), ("1", "new")]
    assert winners.revised == 3


def test_a_deletion_removes_what_came_before_and_not_what_comes_after(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    deletion = '<DeleteCitation><PMID Version="1">1</PMID><PMID Version="1">2</PMID><PMID Version="1">99</PMID>' \
               "</DeleteCitation>"
    _write(folder / "a1.xml.gz", _article(1), _article(2), _article(3))
    _write(folder / "a2.xml.gz", _article(4), deletion)
    _write(folder / "a3.xml.gz", _article(2, title="back"))
    winners, reports = _ingest(folder, directory)
    assert _kept(directory) == [("3", "t"), ("4", "t"), ("2", "back")]
    assert (winners.deletions_hit, sum(len(one.deletions) for one in reports)) == (1, 3)


def test_bad_records_and_files_are_set_aside_with_reasons(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    _write(folder / "a.xml.gz", _article(1), _article(2).replace("</Article>", ""), _article(3))
    _write(folder / "b.xml.gz", _article(4))
    whole = (folder / "b.xml.gz").read_bytes()
    (folder / "b.xml.gz").write_bytes(whole[:-12])
    (folder / "c.xml").write_text("<html>Service unavailable</html>")
    _, reports = _ingest(folder, directory)
    assert _kept(directory) == [("1", "t"), ("3", "t")]
    aside = [(one["file"], one["position"]) for report in reports for one in report.quarantined]
    assert aside == [("a.xml.gz", 1), ("b.xml.gz", None), ("c.xml", None)]
    assert "not well formed" in reports[0].quarantined[0]["reason"]
    assert [one.readable for one in reports] == [True, False, False]


def test_a_file_that_differs_from_its_checksum_contributes_nothing(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    for name in ("good.xml.gz", "wrong.xml.gz"):
        _write(folder / name, _article(1 if name < "h" else 2))
    digest = hashlib.md5((folder / "good.xml.gz").read_bytes(), usedforsecurity=False).hexdigest()
    (folder / "good.xml.gz.md5").write_text(f"MD5(good.xml.gz)= {digest}\n")
    (folder / "wrong.xml.gz.md5").write_text(f"MD5(wrong.xml.gz)= {'0' * 32}\n")
    _, reports = _ingest(folder, directory)
    assert _kept(directory) == [("1", "t")]
    assert "MD5" in reports[1].quarantined[0]["reason"]


def test_the_limit_takes_the_first_records(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    _write(folder / "a.xml.gz", *(_article(pmid) for pmid in range(1, 6)))
    _ingest(folder, directory, limit=2)
    assert [pmid for pmid, _ in _kept(directory)] == ["1", "2"]


def test_sources_are_listed_in_order_and_a_missing_one_is_named(tmp_path: Path) -> None:
    for name in ("n2.xml.gz", "n1.xml", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    listed = list_sources([str(tmp_path / "n2.xml.gz"), str(tmp_path), str(tmp_path / "*.xml")])
    assert [one.name for one in listed] == ["n2.xml.gz", "n1.xml", "n2.xml.gz", "n1.xml"]
    assert [one.number for one in listed] == [0, 1, 2, 3]
    with pytest.raises(DataError, match="nowhere"):
        list_sources([str(tmp_path / "nowhere")])


def test_the_embedded_files_are_the_two_of_nlm() -> None:
    listed = list_sources(["embedded"])
    assert [one.name for one in listed] == ["pubmed20n0014.xml.gz", "pubmed21n1298.xml.gz"]
    with open_source(listed[0]) as stream:
        assert stream.read(5) == b"<?xml"


def test_baseline_and_update_of_nlm(shared_data: Path, tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    for path in (shared_data / "pubmed").glob("pubmed26n*.xml.gz"):
        (folder / path.name).write_bytes(path.read_bytes())
    winners, reports = _ingest(folder, directory)
    citations = directory.read_records("citations", Citation)
    assert [one.records for one in reports] == [30, 30]
    assert len({one.pmid for one in citations}) == len(citations) == 60 - winners.revised - winners.deletions_hit
    baseline, update = (pl.Series([c.pmid for c in citations if c.source_file.startswith(f"pubmed26n{n}")])
                        for n in (1334, 1335))
    assert len(update) == 30
    assert not set(baseline) & set(update)
    assert len(reports[1].deletions) == 6


def test_every_small_real_file_is_ingested(shared_data: Path, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path / "out"))
    _, reports = _ingest(shared_data / "pubmed", directory)
    assert [one.quarantined for one in reports] == [[]] * len(reports)
    assert sum(one.books for one in reports) == 1
    citations = directory.read_records("citations", Citation)
    assert len(citations) == len({one.pmid for one in citations}) > 700
    assert [one.pmid for one in citations if not one.title] == ["41605226"]  # has a vernacular title only
    assert all(len(one.pmid) <= 8 and one.pmid.isdigit() for one in citations)
