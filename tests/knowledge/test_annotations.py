"""Annotation rows of phenotype.hpoa and of Orphadata product 4, and Orphanet's ages at onset."""

import gzip
from pathlib import Path

import pytest

from medr_ray.core.errors import DataError
from medr_ray.knowledge.annotations import Frequency, parse_frequency, read_hpoa, read_product4
from medr_ray.knowledge.orphanet_ages import read_onset_ages

_HEADER = "\t".join(
    (
        "database_id",
        "disease_name",
        "qualifier",
        "hpo_id",
        "reference",
        "evidence",
        "onset",
        "frequency",
        "sex",
        "modifier",
        "aspect",
        "biocuration",
    )
)


def _line(
    disease: str = "OMIM:1",
    name: str = "One",
    qualifier: str = "",
    term: str = "HP:0001250",
    reference: str = "PMID:1;OMIM:1",
    frequency: str = "3/7",
    aspect: str = "P",
) -> str:
    return "\t".join(
        (disease, name, qualifier, term, reference, "PCS", "", frequency, "", "", aspect, "HPO:x")
    )


def _file(folder: Path, *lines: str, header: str = _HEADER, gz: bool = False) -> str:
    data = "\n".join(("#description: annotations", header, *lines, "")).encode()
    path = folder / "phenotype.hpoa"
    path.write_bytes(gzip.compress(data) if gz else data)
    return str(path)


@pytest.mark.parametrize(
    ("text", "frequency"),
    [
        ("3/7", Frequency(3 / 7, 7)),
        ("45%", Frequency(0.45)),
        ("", None),
        ("HP:0040280", Frequency(1.0)),
        ("HP:0040281", Frequency(0.895)),
        ("HP:0040285", Frequency(0.0)),
        ("0/5", Frequency(0.0, 5)),
        ("0%", Frequency(0.0)),
    ],
)
def test_frequencies_are_shares_with_the_patients_they_were_counted_in(
    text: str, frequency: Frequency | None
) -> None:
    assert parse_frequency(text) == frequency


@pytest.mark.parametrize("text", ["9/7", "0/0", "often", "140%", "HP:0000001"])
def test_a_frequency_that_makes_no_sense_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="frequency"):
        parse_frequency(text)


@pytest.mark.parametrize("header", [_HEADER, _HEADER.replace("database_id", "#DatabaseID")])
@pytest.mark.parametrize("gz", [False, True])
def test_rows_of_either_form_are_kept_as_they_stand(tmp_path: Path, header: str, gz: bool) -> None:
    table = read_hpoa(
        _file(tmp_path, _line(), _line(qualifier="NOT", frequency=""), header=header, gz=gz)
    )
    first, second = table.rows
    assert (first.disease, first.term, first.aspect, first.negated) == (
        "OMIM:1",
        "HP:0001250",
        "P",
        False,
    )
    assert first.frequency == Frequency(3 / 7, 7)
    assert first.references == ("PMID:1", "OMIM:1")
    assert second.negated
    assert second.frequency is None


def test_bad_rows_are_counted_and_named_and_the_others_kept(tmp_path: Path) -> None:
    table = read_hpoa(
        _file(tmp_path, _line(), _line(frequency="often"), "OMIM:1\tOne", _line(term="fever"))
    )
    assert len(table.rows) == 1
    assert table.bad_count == 3
    assert [skip.where for skip in table.skipped] == ["line 4", "line 5", "line 6"]
    assert "often" in table.skipped[0].reason


def test_a_disease_has_its_most_readable_name(tmp_path: Path) -> None:
    named = _file(
        tmp_path,
        _line(name="#614856 OSTEOGENESIS IMPERFECTA, TYPE XIII; OI13;;OI, TYPE XIII"),
        _line(name="Osteogenesis imperfecta, type XIII"),
        _line("OMIM:2", "%100300 SOMETHING;;ELSE"),
    )
    assert read_hpoa(named).names == {
        "OMIM:1": "Osteogenesis imperfecta, type XIII",
        "OMIM:2": "SOMETHING",
    }


@pytest.mark.parametrize("content", ["", "a\tb\n", f"{_HEADER}\n"])
def test_another_format_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.tsv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"other\.tsv: expected phenotype\.hpoa"):
        read_hpoa(str(path))


_ROW = (
    "<HPODisorderAssociation><HPO><HPOId>{}</HPOId></HPO><HPOFrequency><Name>{}</Name></HPOFrequency>"
    "</HPODisorderAssociation>"
)


def _xml(folder: Path, inner: str) -> str:
    path = folder / "orphadata.xml"
    disorder = f"<OrphaCode>58</OrphaCode><Name>Alexander disease</Name>{inner}"
    path.write_text(f"<JDBOR><Disorder>{disorder}</Disorder></JDBOR>")
    return str(path)


def test_product_4_gives_classes_and_cites_its_disorder(tmp_path: Path) -> None:
    inner = _ROW.format("HP:0000256", "Very frequent (99-80%)") + _ROW.format(
        "HP:0000257", "Excluded (0%)"
    )
    table = read_product4(
        _xml(
            tmp_path,
            "<HPODisorderAssociationList>"
            + inner
            + _ROW.format("HP:0000258", "Often")
            + "</HPODisorderAssociationList>",
        )
    )
    assert [(row.term, row.frequency, row.references) for row in table.rows] == [
        ("HP:0000256", Frequency(0.895), ("ORPHA:58",)),
        ("HP:0000257", Frequency(0.0), ("ORPHA:58",)),
    ]
    assert table.names == {"ORPHA:58": "Alexander disease"}
    assert table.bad_count == 1


def test_ages_at_onset_span_all_the_periods(tmp_path: Path) -> None:
    ages = "".join(
        f"<AverageAgeOfOnset><Name>{onset}</Name></AverageAgeOfOnset>"
        for onset in ("Infancy", "Neonatal")
    )
    assert read_onset_ages(
        _xml(tmp_path, f"<AverageAgeOfOnsetList>{ages}</AverageAgeOfOnsetList>")
    ) == {"ORPHA:58": (0.0, 2.0)}


def test_an_unknown_period_of_life_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Middle age"):
        read_onset_ages(
            _xml(
                tmp_path,
                "<AverageAgeOfOnsetList><AverageAgeOfOnset><Name>Middle age</Name>"
                "</AverageAgeOfOnset></AverageAgeOfOnsetList>",
            )
        )


@pytest.mark.slow
def test_the_real_files_are_read(shared_data: Path) -> None:
    folder = shared_data / "diagnosis"
    table = read_hpoa(str(folder / "phenotype_2021-02-08.hpoa.gz"))
    assert len(table.names) == 12_082
    assert table.bad_count == 3  # 9/7, 0/0 and 4/1
    assert len(read_product4(str(folder / "orphadata_prod4_phenotypes.xml.gz")).names) == 4041
    assert len(read_onset_ages(str(folder / "orphadata_prod9_epidemiological_ages.xml.gz"))) == 6189
