"""From files to citations: order, versions, deletions, and what is set aside."""

import gzip
import hashlib
import re
from pathlib import Path

import polars as pl
import pytest

from medr_ray.core.errors import DataError
from medr_ray.core.records import Citation
from medr_ray.core.run import Directory
from medr_ray.corpus.corpus_files import list_corpus_files, open_corpus_file
from medr_ray.corpus.ingest import (
    DroppedRecords,
    FileReport,
    build_part_name,
    choose_dropped_records,
    read_corpus_file,
    read_record_keys,
    read_reports,
    write_kept_citations,
)


def _article(pmid: int, version: int = 1, title: str = "t") -> str:
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article>'
        f"<ArticleTitle>{title}</ArticleTitle></Article></MedlineCitation></PubmedArticle>"
    )


def _write(path: Path, *elements: str) -> None:
    path.write_bytes(
        gzip.compress(f"<PubmedArticleSet>{''.join(elements)}</PubmedArticleSet>".encode())
    )


def _ingest(
    folder: Path, directory: Directory, limit: int | None = None
) -> tuple[DroppedRecords, list[FileReport]]:
    sources = list_corpus_files([str(folder)])
    for source in sources:
        read_corpus_file(source, directory, limit)
    reports = read_reports(directory, sources)
    dropped = choose_dropped_records(read_record_keys(directory, sources), reports)
    for number, source in enumerate(sources):
        write_kept_citations(
            build_part_name(source), dropped.positions.get(number, []), directory, ""
        )
    return dropped, reports


def _read_kept(directory: Directory) -> list[tuple[str, str]]:
    return [
        (citation.pmid, citation.title)
        for citation in directory.read_records("citations", Citation)
    ]


def test_the_last_record_of_the_highest_version_wins_and_order_is_kept(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    _write(
        folder / "a1.xml.gz",
        _article(1, title="old"),
        _article(2, 2, "v2"),
        _article(3),
        _article(3, title="again"),
    )
    _write(folder / "a2.xml.gz", _article(2, 1, "late v1"), _article(1, title="new"))
    dropped, _ = _ingest(folder, directory)
    assert _read_kept(directory) == [("2", "v2"), ("3", "again"), ("1", "new")]
    assert dropped.replaced == 3


def test_a_deletion_removes_earlier_records_and_no_later_ones(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    deletion = (
        '<DeleteCitation><PMID Version="1">1</PMID><PMID Version="1">2</PMID>'
        '<PMID Version="1">99</PMID>'
        "</DeleteCitation>"
    )
    _write(folder / "a1.xml.gz", _article(1), _article(2), _article(3))
    _write(folder / "a2.xml.gz", _article(4), deletion)
    _write(folder / "a3.xml.gz", _article(2, title="back"))
    dropped, reports = _ingest(folder, directory)
    assert _read_kept(directory) == [("3", "t"), ("4", "t"), ("2", "back")]
    assert (dropped.deleted, sum(len(report.deletions) for report in reports)) == (1, 3)


def test_members_and_documents_that_were_joined_are_all_read(tmp_path: Path) -> None:
    """As ``cat`` joins files, packed or not."""
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    first, second = (
        f"<?xml version='1.0'?>\n<PubmedArticleSet>{_article(pmid)}</PubmedArticleSet>\n".encode()
        for pmid in (1, 2)
    )
    (folder / "a1.xml.gz").write_bytes(gzip.compress(first[:60]) + gzip.compress(first[60:]))
    (folder / "a2.xml").write_bytes(first.replace(b">1<", b">3<") + second)
    cut = gzip.compress(second.replace(b">2<", b">4<"))
    (folder / "a3.xml.gz").write_bytes(cut[: len(cut) // 2])
    _, reports = _ingest(folder, directory)
    assert [pmid for pmid, _ in _read_kept(directory)] == ["1", "3", "2"]
    assert [report.citations for report in reports] == [1, 2, 0]


def _write_gzipped(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data))


def test_broken_records_are_quarantined_with_reason_and_place_and_the_rest_is_complete(
    tmp_path: Path,
) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    good, unclosed = _article(1), _article(2).replace("</Article>", "")
    no_pmid, latin = _article(3).replace(">3</PMID>", "></PMID>"), _article(4, title="Sj?gren")
    records = f"{good}{unclosed}{no_pmid}{latin}{_article(5)}"
    document = f"<PubmedArticleSet>{records}</PubmedArticleSet>".encode()
    document = document.replace(b"Sj?gren", "Sjögren".encode("latin-1"))
    _write_gzipped(folder / "a.xml.gz", document)
    _write(folder / "b.xml.gz", _article(6))
    whole = (folder / "b.xml.gz").read_bytes()
    (folder / "b.xml.gz").write_bytes(whole[:-12])
    (folder / "c.xml").write_text("<html>Service unavailable</html>")
    (folder / "d.xml.gz").write_bytes(b"")
    middle = bytearray(gzip.compress(document * 50, 9))
    middle[len(middle) // 2] ^= 0xFF
    (folder / "e.xml.gz").write_bytes(bytes(middle))
    _write(folder / "f.xml.gz", _article(7))
    _, reports = _ingest(folder, directory)
    assert _read_kept(directory) == [("1", "t"), ("5", "t"), ("7", "t")]
    aside = [
        (record["file"], record["position"]) for report in reports for record in report.quarantined
    ]
    assert aside == [
        ("a.xml.gz", 1),
        ("a.xml.gz", 2),
        ("a.xml.gz", 3),
        ("b.xml.gz", None),
        ("c.xml", None),
        ("d.xml.gz", None),
        ("e.xml.gz", None),
    ]
    reasons = [record["reason"] for report in reports for record in report.quarantined]
    for reason, expected in zip(
        reasons,
        (
            "not well formed",
            "PMID",
            "not well formed",
            "EOFError",
            "not PubMed XML",
            "not PubMed XML",
            "",
        ),
        strict=True,
    ):
        assert expected in reason
    for record in reports[0].quarantined:
        assert document[record["offset"] :].startswith(b"<PubmedArticle>")
    assert [report.readable for report in reports] == [True, False, False, False, False, True]


def test_a_file_that_differs_from_its_checksum_contributes_nothing(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    for name in ("good.xml.gz", "wrong.xml.gz"):
        _write(folder / name, _article(1 if name < "h" else 2))
    digest = hashlib.md5((folder / "good.xml.gz").read_bytes(), usedforsecurity=False).hexdigest()
    (folder / "good.xml.gz.md5").write_text(f"MD5(good.xml.gz)= {digest}\n")
    (folder / "wrong.xml.gz.md5").write_text(f"MD5(wrong.xml.gz)= {'0' * 32}\n")
    _, reports = _ingest(folder, directory)
    assert _read_kept(directory) == [("1", "t")]
    assert "MD5" in reports[1].quarantined[0]["reason"]


def test_the_limit_takes_the_first_records(tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    _write(folder / "a.xml.gz", *(_article(pmid) for pmid in range(1, 6)))
    _ingest(folder, directory, limit=2)
    assert [pmid for pmid, _ in _read_kept(directory)] == ["1", "2"]


def test_sources_are_listed_once_in_order_and_a_missing_one_is_named(tmp_path: Path) -> None:
    for name in ("n2.xml.gz", "n1.xml", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    listed = list_corpus_files(
        [str(tmp_path / "n2.xml.gz"), str(tmp_path), str(tmp_path / "*.xml")]
    )
    assert [file.name for file in listed] == ["n2.xml.gz", "n1.xml"]
    assert [file.number for file in listed] == [0, 1]
    with pytest.raises(DataError, match="nowhere"):
        list_corpus_files([str(tmp_path / "nowhere")])


def test_the_embedded_files_are_the_two_of_nlm() -> None:
    listed = list_corpus_files(["embedded"])
    assert [file.name for file in listed] == ["pubmed20n0014.xml.gz", "pubmed21n1298.xml.gz"]
    with open_corpus_file(listed[0]) as stream:
        assert stream.read(5) == b"<?xml"


def test_baseline_and_update_of_nlm(shared_data: Path, tmp_path: Path) -> None:
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    for path in (shared_data / "pubmed").glob("pubmed26n*.xml.gz"):
        (folder / path.name).write_bytes(path.read_bytes())
    dropped, reports = _ingest(folder, directory)
    citations = directory.read_records("citations", Citation)
    assert [report.records for report in reports] == [30, 30]
    assert (
        len({citation.pmid for citation in citations})
        == len(citations)
        == 60 - dropped.replaced - dropped.deleted
    )
    baseline, update = (
        pl.Series([c.pmid for c in citations if c.source_file.startswith(f"pubmed26n{n}")])
        for n in (1334, 1335)
    )
    assert len(update) == 30
    assert not set(baseline) & set(update)
    assert len(reports[1].deletions) == 6


def test_every_small_real_file_is_ingested(shared_data: Path, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path / "out"))
    _, reports = _ingest(shared_data / "pubmed", directory)
    assert [report.quarantined for report in reports] == [[]] * len(reports)
    assert sum(report.books for report in reports) == 1
    assert sum(report.hard for report in reports) < 0.02 * sum(report.records for report in reports)
    citations = directory.read_records("citations", Citation)
    assert len(citations) == len({citation.pmid for citation in citations}) > 700
    # One of them has a title in its own language only.
    assert [citation.pmid for citation in citations if not citation.title] == []
    assert all(len(citation.pmid) <= 8 and citation.pmid.isdigit() for citation in citations)


def test_the_deletions_of_a_real_update_are_gone(shared_data: Path, tmp_path: Path) -> None:
    """Before the update all 262 were citations; one that comes after it is back."""
    folder, directory = tmp_path / "in", Directory(str(tmp_path / "out"))
    folder.mkdir()
    update = (shared_data / "pubmed" / "pubmed20n1016_pmparser.xml.gz").read_bytes()
    pmids = re.findall(
        rb"<PMID Version=\"1\">(\d+)</PMID>", gzip.decompress(update).split(b"<DeleteCitation>")[1]
    )
    assert len(pmids) == 262
    _write(
        folder / "pubmed20n1015.xml.gz",
        *(_article(int(pmid)) for pmid in pmids),
        _article(99_999_999),
    )
    (folder / "pubmed20n1016.xml.gz").write_bytes(update)
    _write(folder / "pubmed20n1017.xml.gz", _article(int(pmids[7]), title="back"))
    dropped, _ = _ingest(folder, directory)
    kept = dict(_read_kept(directory))
    assert (dropped.deleted, dropped.replaced) == (
        261,
        1,
    )  # the one that is back was written anew
    assert {pmid.decode() for pmid in pmids} & kept.keys() == {pmids[7].decode()}
    assert kept[pmids[7].decode()] == "back"
    assert len(kept) == 1 + 26 + 1
