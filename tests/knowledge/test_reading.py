"""Opening vocabulary files and walking through their rows, elements and arrays."""

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medr_ray.core.errors import DataError
from medr_ray.knowledge.table_rows import read_rows
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyReport,
    file_digest,
    make_xref,
    open_vocabulary,
    read_elements,
    read_json_array,
    text_of,
)


def write_file(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("name", ["packed.dat", "packed.gz"])
def test_gzip_is_known_by_its_bytes_and_not_by_its_name(tmp_path: Path, name: str) -> None:
    for content in (b"plain text", gzip.compress(b"plain text")):
        with open_vocabulary(write_file(tmp_path / name, content)) as stream:
            assert stream.read() == b"plain text"


def test_a_uri_is_opened_as_well(tmp_path: Path) -> None:
    with open_vocabulary(Path(write_file(tmp_path / "a b.txt", b"text")).as_uri()) as stream:
        assert stream.read() == b"text"


def test_the_error_of_a_missing_file_says_how_to_mend_it() -> None:
    with (
        pytest.raises(DataError, match=r"no_such_file.*name an existing file"),
        open_vocabulary("/no_such_file"),
    ):
        pass
    with pytest.raises(DataError, match="no_such_file"):
        file_digest("/no_such_file")


def test_a_gzip_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    path = write_file(tmp_path / "cut.gz", gzip.compress(bytes(range(256)) * 400)[:-20])
    with pytest.raises(DataError, match="broken gzip"), open_vocabulary(path) as stream:
        stream.read()


def test_the_digest_follows_the_stored_bytes(tmp_path: Path) -> None:
    first = file_digest(write_file(tmp_path / "one", b"a" * 3_000_000))
    assert first == file_digest(write_file(tmp_path / "two", b"a" * 3_000_000))
    assert first != file_digest(write_file(tmp_path / "one", b"b"))


def test_rows_keep_quoted_separators_and_report_broken_bytes() -> None:
    report = VocabularyReport("some.tsv")
    content = b'\xef\xbb\xbfA\tone\n\nB\t"two\tparts"\nC\tbr\xffken\nD\tlast\n'
    assert list(read_rows(io.BytesIO(content), "\t", report.skip_record, 2)) == [
        ("line 1", ["A", "one"]),
        ("line 3", ["B", "two\tparts"]),
        ("line 5", ["D", "last"]),
    ]
    assert [(skip.where, skip.reason[:9]) for skip in report.skipped] == [("line 4", "not UTF-8")]


def test_an_oversized_cell_is_reported_and_the_next_row_read() -> None:
    report = VocabularyReport("some.csv")
    content = io.BytesIO(b"A," + b"x" * 200_000 + b"\nB,fine\n")
    rows = list(read_rows(content, ",", report.skip_record, 2))
    assert rows == [("line 2", ["B", "fine"])]
    assert report.skipped[0].where == "line 1"


def test_every_bad_record_is_counted_and_the_first_are_named() -> None:
    report = VocabularyReport("some.csv")
    for number in range(1000):
        report.skip_record(f"line {number}", "bad")
    assert report.bad_count == 1000
    assert len(report.skipped) < 1000
    assert report.skipped[0].where == "line 0"


def test_xml_neither_fetches_nor_expands_entities(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    content = (
        f'<!DOCTYPE a [<!ENTITY s SYSTEM "{secret.as_uri()}"><!ENTITY e "expanded">]>'
        "<a><b><c>x &s; &e; y</c></b><b><c>&lt;2</c></b></a>"
    ).encode()
    texts = [
        text_of(element, "c")
        for _, element in read_elements(
            io.BytesIO(content), VocabularyReport("x.xml"), ["b"], "XML"
        )
    ]
    assert "secret" not in texts[0]
    assert "expanded" not in texts[0]
    assert texts[1] == "<2"


@pytest.mark.parametrize("content", [b"", b"no xml", b"<a><b>cut"])
def test_the_error_of_broken_xml_says_what_was_expected(content: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.xml: expected such XML, found no well-formed XML"):
        list(read_elements(io.BytesIO(content), VocabularyReport("x.xml"), ["b"], "such XML"))


def test_elements_are_freed_as_they_are_used() -> None:
    count = 20_000
    content = b"<a>" + b"<group><b><c>x</c></b></group>" * count + b"</a>"
    held = [
        len(element.getroottree().getroot())
        for _, element in read_elements(
            io.BytesIO(content), VocabularyReport("x.xml"), ["b"], "XML"
        )
    ]
    assert len(held) == count
    assert max(held) < count / 10  # the parser reads ahead, but drops what was used


values = st.recursive(
    st.none() | st.booleans() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(), values)), st.booleans())
def test_an_array_is_read_as_json_reads_it(elements: list[dict[str, object]], nested: bool) -> None:
    document = (
        {"graphs": [{"other": ["nodes"], "nodes": elements, "edges": []}]} if nested else elements
    )
    stream = io.BytesIO(json.dumps(document).encode())
    assert list(read_json_array(stream, "nodes" if nested else "")) == elements
    assert not stream.closed


def test_elements_larger_than_a_chunk_are_read_whole() -> None:
    elements = [{"text": "é" * 800_000}, {"text": "b" * 2_500_000}, {"text": "c"}]
    content = json.dumps({"pad": " " * 1_048_560, "nodes": elements}, ensure_ascii=False).encode()
    assert list(read_json_array(io.BytesIO(content), "nodes")) == elements


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"nodes": {}}', b'{"nodes": [{"a": 1}', b'{"nodes": [{"a" 1}]}']
)
def test_an_array_that_is_not_there_or_broken_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"no list|broken"):
        list(read_json_array(io.BytesIO(content), "nodes"))


def test_references_have_the_form_of_concept_ids() -> None:
    assert make_xref("Orphanet", "558") == "ORPHA:558"
    assert make_xref("MeSH", " D008382 ") == "MESH:D008382"
    assert make_xref("UMLS", "C0024796") == ""
    assert make_xref("OMIM", "") == ""
