"""Tables as people save them: every line is read or counted, whatever its quotes and encoding."""

import contextlib
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.config import LexiconSource
from medr_ray.core.errors import DataError
from medr_ray.knowledge.annotations import read_product4
from medr_ray.knowledge.mondo import read_mondo
from medr_ray.knowledge.orphanet import read_orphanet
from medr_ray.knowledge.table_rows import read_rows
from medr_ray.knowledge.tables import read_csv, read_hgnc
from medr_ray.knowledge.vocabularies import read_source
from medr_ray.knowledge.vocabulary_reading import VocabularyReport

HEADER = "id,name,synonyms,type"


def read_names(content: bytes) -> tuple[list[str], VocabularyReport]:
    report = VocabularyReport("names.csv")
    return [entry.name for entry in read_csv(io.BytesIO(content), report)], report


HGNC_HEADER = "hgnc_id\tsymbol\tname\tstatus\talias_symbol\n"


def test_a_stray_quote_between_tabs_swallows_no_gene() -> None:
    rows = [
        'HGNC:358\tAIP\taryl hydrocarbon receptor\tApproved\t"XAP2|ARA9"',
        'HGNC:1\tSEPT9X\t"5\'-nucleotidase ""b"" like"\tApproved\t',
        'HGNC:2\tODD\tname with a "quote inside\tApproved\t',
        'HGNC:3\tLEAD\t"leading quote never closed\tApproved\t',
        "HGNC:4\tAFTER1\tafter one\tApproved\t",
        "HGNC:5\tAFTER2\tafter two\tApproved\t",
    ]
    report = VocabularyReport("hgnc.txt")
    genes = list(read_hgnc(io.BytesIO((HGNC_HEADER + "\n".join(rows)).encode()), report))
    assert [gene.name for gene in genes] == ["AIP", "SEPT9X", "ODD", "LEAD", "AFTER1", "AFTER2"]
    assert genes[0].symbols == ("AIP", "XAP2", "ARA9")
    assert genes[1].synonyms == ('5\'-nucleotidase "b" like',)
    assert genes[3].synonyms == ('"leading quote never closed',)
    assert not report.bad_count


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_delimiter_encoding_and_line_ends_are_recognised(
    encoding: str, delimiter: str, ending: str
) -> None:
    lines = [HEADER, "L:1,Sjögren syndrome,,disease", "L:2,α-mannosidosis,AM,disease"]
    content = ending.join(lines).replace(",", delimiter) + ending
    assert read_names(content.encode(encoding))[0] == ["Sjögren syndrome", "α-mannosidosis"]


def test_quoted_cells_hold_delimiters_and_line_breaks() -> None:
    content = f'{HEADER}\nL:1,Fabry,"Anderson, Fabry|AFD",disease\nL:2,"Multi\nline",,disease\n'
    names, report = read_names(content.encode())
    assert names == ["Fabry", "Multi\nline"]
    assert not report.bad_count


@pytest.mark.parametrize(
    ("cell", "name"),
    [('"never closed', '"never closed'), ('"Fabry" disease', '"Fabry" disease'), ('5" x', '5" x')],
)
def test_a_stray_quote_between_commas_is_text(cell: str, name: str) -> None:
    content = f'{HEADER}\nL:1,{cell},,disease\nL:2,after,"a, b",disease\nL:3,last,,disease\n'
    names, report = read_names(content.encode())
    assert names == [name, "after", "last"]
    assert not report.bad_count


def test_what_spreadsheets_add_is_no_content() -> None:
    """The separator's own line, and separators behind the last column."""
    content = "sep=;\r\nid;name;synonyms;type;;\r\nL:1;a;;disease;;\r\nL:2;b;;disease;;;;\r\n"
    for text in (content, content.replace("type;;", "type")):
        names, report = read_names(text.encode())
        assert (names, report.bad_count) == (["a", "b"], 0)


def test_a_zero_byte_is_no_part_of_a_name() -> None:
    names, report = read_names(f"{HEADER}\nL:1,a\0b,,disease\nL:2,c,,disease\n".encode())
    assert names == ["c"]
    assert "zero byte" in report.skipped[0].reason


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"PK\x03\x04" + bytes(50), "an Excel workbook; save it as CSV"),
        (b"<!DOCTYPE html><html><body>503</body></html>", "HTML"),
        (b'<?xml version="1.0"?><a/>', "XML"),
        (b"term,label\nx,y\n", "'term', 'label' (missing: id, name, synonyms)"),
    ],
)
def test_a_file_that_is_no_such_table_is_named(content: bytes, name: str) -> None:
    with pytest.raises(DataError) as caught:
        read_names(content)
    assert name in str(caught.value)


def test_ragged_and_undecodable_rows_are_counted_with_their_lines() -> None:
    content = f"{HEADER}\nL:1,Sj\u00f6gren,,disease\nL:2,short\n\nL:3,fine,,disease\n"
    names, report = read_names(content.encode("cp1252"))
    assert names == ["fine"]
    assert [skip.where for skip in report.skipped] == ["line 2", "line 3"]
    assert "save it as UTF-8" in report.skipped[0].reason


def test_a_column_that_stands_twice_is_refused() -> None:
    with pytest.raises(DataError, match="'name' in several columns"):
        read_names(b"id,name,Name,synonyms,type\nL:1,a,b,,disease\n")


def test_a_custom_table_is_read_from_a_file_of_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_bytes(
        f"{HEADER}\nL:1,Fabry disease,AFD,disease\n".replace(",", "\t").encode("utf-16")
    )
    entries, _ = read_source(LexiconSource.model_validate({"format": "csv", "path": str(path)}))
    assert [entry.synonyms for entry in entries] == [("AFD",)]


def fuzz_rows(count: int, seed: int) -> None:
    """Rows in = rows read + rows counted, and nothing but DataError, for any bytes."""
    generator = random.Random(seed)
    pieces = ["a", '"', '""', ",", ";", "\t", "|", "é", "\x00", " ", "L:1", "disease", "\ufeff"]
    for _ in range(count):
        delimiter = generator.choice(",;\t|")
        body = [
            "".join(generator.choices([*pieces, delimiter, delimiter], k=generator.randrange(12)))
            for _ in range(generator.randrange(6))
        ]
        lines = [HEADER.replace(",", delimiter), *body]
        encoding = generator.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
        data = "\n".join(lines).encode(encoding, "replace")
        if generator.random() < 0.3:
            data = data[: generator.randrange(len(data) + 1)] + generator.randbytes(3)
        with contextlib.suppress(DataError):
            read_names(data)
        skipped: list[str] = []

        def skip(where: str, reason: str, skipped: list[str] = skipped) -> None:
            skipped.append(where)

        clean = "\n".join(line.replace('"', "") for line in lines).encode("utf-8")
        rows = list(read_rows(io.BytesIO(clean), delimiter, skip, 4))
        written = [
            line
            for line in clean.decode().removeprefix("\ufeff").split("\n")
            if any(cell.strip() for cell in line.split(delimiter))
        ]
        assert len(rows) + len(skipped) == len(written)


def test_no_table_raises_anything_else_and_no_row_is_lost() -> None:
    fuzz_rows(400, 1)


@pytest.mark.soak
def test_no_table_raises_anything_else_and_no_row_is_lost_in_many() -> None:
    fuzz_rows(25_000, 2)


OBO = "http://purl.obolibrary.org/obo/MONDO_"


@pytest.mark.parametrize(
    "edge",
    [
        {"sub": None, "pred": "is_a", "obj": f"{OBO}0000001"},
        {"sub": f"{OBO}0010001", "pred": "is_a", "obj": None},
        {"pred": "is_a", "obj": f"{OBO}0000001"},
        {"sub": 7, "pred": "is_a", "obj": []},
        {"sub": f"{OBO}0010001", "pred": "is_a", "obj": f"{OBO}0999999"},
        None,
        "edge",
    ],
)
def test_an_edge_that_leads_nowhere_is_skipped_and_counted(edge: Any) -> None:
    nodes = [
        {"id": f"{OBO}0000001", "lbl": "disease"},
        {"id": f"{OBO}0010001", "lbl": "Fabry disease"},
    ]
    sound = {"sub": f"{OBO}0010001", "pred": "is_a", "obj": f"{OBO}0000001"}
    release = {"graphs": [{"edges": [edge, sound], "nodes": nodes}]}
    report = VocabularyReport("mondo.json")
    entries = list(read_mondo(io.BytesIO(json.dumps(release).encode()), report))
    assert [entry.name for entry in entries] == ["Fabry disease"]
    assert [skip.where for skip in report.skipped] == ["edge 1"]


def test_classes_without_a_label_and_cycles_are_no_crash() -> None:
    nodes = [
        {"id": f"{OBO}0010001", "lbl": "Fabry disease"},
        {"id": f"{OBO}0010004", "lbl": "Cycle A"},
        {"id": f"{OBO}0010002", "lbl": "Cycle B"},
        {"id": f"{OBO}0999999"},
        {"id": f"{OBO}0999998", "lbl": None},
        {"id": f"{OBO}0010005", "lbl": "No meta", "meta": None},
        {"id": f"{OBO}0010003", "lbl": "old", "meta": {"deprecated": True}},
    ]
    edges = [
        {"sub": f"{OBO}0010004", "pred": "is_a", "obj": f"{OBO}0010002"},
        {"sub": f"{OBO}0010002", "pred": "is_a", "obj": f"{OBO}0010004"},
        {"sub": f"{OBO}0010001", "pred": "is_a", "obj": f"{OBO}0999999"},
    ]
    report = VocabularyReport("mondo.json")
    release = json.dumps({"graphs": [{"edges": edges, "nodes": nodes}]}).encode()
    entries = list(read_mondo(io.BytesIO(release), report))
    assert [entry.name for entry in entries] == ["Fabry disease", "Cycle A", "Cycle B"]
    assert report.bad_count == 3
    assert report.omitted == {"obsolete": 1}


DISORDER = """<?xml version="1.0" encoding="iso-8859-1"?><JDBOR><DisorderList><Disorder>
<OrphaCode>324</OrphaCode><Name>NON RARE IN EUROPE: Maladie de Fabry-Andersén</Name>
<HPODisorderAssociationList><HPODisorderAssociation><HPO><HPOId>HP:0000001</HPOId></HPO>
<HPOFrequency><Name>Obligate (100%)</Name></HPOFrequency></HPODisorderAssociation>
</HPODisorderAssociationList></Disorder></DisorderList></JDBOR>"""


def test_a_disorder_has_the_same_name_in_every_product(tmp_path: Path) -> None:
    content = DISORDER.encode("iso-8859-1")
    (entry,) = read_orphanet(io.BytesIO(content), VocabularyReport("en_product1.xml"))
    path = tmp_path / "en_product4.xml"
    path.write_bytes(content)
    assert entry.name == "Maladie de Fabry-Andersén"
    assert read_product4(str(path)).names == {"ORPHA:324": entry.name}
