"""How common diseases are among people: the figure chosen of many, and the concept it belongs
to."""

import gzip
import math
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from medr_ray.core.errors import DataError
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.prevalence import (
    PrevalenceTable,
    load_prevalence,
    match_prevalence,
    read_prevalence,
)

POINT, BIRTH = "Point prevalence", "Prevalence at birth"
CLASS = "1-9 / 100 000"


def _figure_xml(
    kind: str = POINT,
    label: str = CLASS,
    value: str = "0.0",
    place: str = "Worldwide",
    status: str = "Validated",
    source: str = "1[PMID]",
) -> str:
    named = {
        "PrevalenceType": kind,
        "PrevalenceClass": label,
        "PrevalenceGeographic": place,
        "PrevalenceValidationStatus": status,
    }
    fields = "".join(
        f'<{tag}><Name lang="en">{escape(text)}</Name></{tag}>'
        for tag, text in named.items()
        if text
    )
    return f"<Prevalence><Source>{source}</Source><ValMoy>{value}</ValMoy>{fields}</Prevalence>"


def _file(folder: Path, *disorders: tuple[str, str, list[str]], gz: bool = False) -> str:
    body = "".join(
        f'<Disorder><OrphaCode>{code}</OrphaCode><Name lang="en">{name}</Name><PrevalenceList>'
        f"{''.join(figures)}</PrevalenceList></Disorder>"
        for code, name, figures in disorders
    )
    text = (
        f'<?xml version="1.0" '
        f'encoding="ISO-8859-1"?><JDBOR><DisorderList>{body}</DisorderList></JDBOR>'
    )
    path = folder / ("product9.xml.gz" if gz else "product9.xml")
    data = text.encode("latin-1")
    path.write_bytes(gzip.compress(data) if gz else data)
    return str(path)


def _read_value(folder: Path, *figures: str) -> float | None:
    kept = read_prevalence(_file(folder, ("1", "A disease", list(figures)))).by_disorder
    return kept["ORPHA:1"].value if kept else None


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("<1 / 1 000 000", 10**-6.5),
        ("1-9 / 1 000 000", 3e-6),
        ("1-9 / 100 000", 3e-5),
        ("1-5 / 10 000", math.sqrt(5) * 1e-4),
        ("6-9 / 10 000", math.sqrt(54) * 1e-4),
        (">1 / 1000", 10**-2.5),
    ],
)
def test_a_class_counts_as_the_geometric_mean_of_its_bounds(
    tmp_path: Path, label: str, value: float
) -> None:
    assert _read_value(tmp_path, _figure_xml(label=label)) == pytest.approx(value)


def test_a_value_is_per_hundred_thousand_people(tmp_path: Path) -> None:
    assert _read_value(tmp_path, _figure_xml(value="2.5")) == pytest.approx(2.5e-5)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (
            _figure_xml(POINT, "<1 / 1 000 000", status="Not yet validated", place="Japan"),
            _figure_xml(BIRTH, value="7"),
        ),
        (
            _figure_xml(status="Validated", place="Japan"),
            _figure_xml(status="Not yet validated", value="7"),
        ),
        (_figure_xml(place="Worldwide"), _figure_xml(place="Japan", value="7")),
        (_figure_xml(value="2"), _figure_xml()),
        (_figure_xml(BIRTH), _figure_xml("Lifetime Prevalence", value="7")),
        (_figure_xml(BIRTH), _figure_xml(label="Unknown")),
        (_figure_xml(BIRTH), _figure_xml(label="")),
        (_figure_xml("Lifetime Prevalence"), _figure_xml("Annual incidence", value="7")),
        (
            _figure_xml(place="Japan", status="Not yet validated"),
            _figure_xml("Cases/families", label="", value="4"),
        ),
    ],
)
def test_the_better_figure_is_kept_whatever_the_order(
    tmp_path: Path, better: str, worse: str
) -> None:
    assert (
        _read_value(tmp_path, better, worse)
        == _read_value(tmp_path, worse, better)
        == _read_value(tmp_path, better)
    )


def test_of_several_regions_the_median_is_kept_with_its_place(tmp_path: Path) -> None:
    figures = [
        _figure_xml(place=place, value=value)
        for place, value in (("Malta", "9"), ("Japan", "1"), ("Peru", "4"))
    ]
    kept = read_prevalence(_file(tmp_path, ("1", "A disease", figures))).by_disorder["ORPHA:1"]
    assert (kept.value, kept.place) == (pytest.approx(4e-5), "Peru")
    assert (
        kept.describe_source()
        == "ORPHA:1 (A disease): point prevalence, Peru, value, validated; 1[PMID]"
    )


def test_a_long_list_of_references_is_cut_in_the_source(tmp_path: Path) -> None:
    figure = _figure_xml(source="1[PMID]_" * 50, status="Not yet validated")
    kept = read_prevalence(_file(tmp_path, ("1", "A", [figure]))).by_disorder["ORPHA:1"]
    assert kept.describe_source().startswith(
        "ORPHA:1 (A): point prevalence, Worldwide, class, not yet validated; 1[PMID]_"
    )
    assert len(kept.describe_source()) < 180
    assert len(kept.references) == 400


def test_bad_figures_are_counted_and_named_and_spoil_no_other(tmp_path: Path) -> None:
    bad = [
        _figure_xml(value="many"),
        _figure_xml(value="-3"),
        _figure_xml(value="nan"),
        _figure_xml(value="200000"),
        _figure_xml(label="about 5"),
        _figure_xml("Prevalence on Mars"),
    ]
    table = read_prevalence(
        _file(
            tmp_path,
            ("1", "A", [*bad, _figure_xml()]),
            ("x7", "B", [_figure_xml()]),
            ("2", "C", []),
        )
    )
    assert list(table.by_disorder) == ["ORPHA:1"]
    assert (table.disorder_count, table.bad_count) == (3, 7)
    assert [skip.reason for skip in table.skipped][-3:] == [
        "PrevalenceClass 'about 5'",
        "PrevalenceType 'Prevalence on Mars'",
        "OrphaCode 'x7'",
    ]


def test_a_file_that_is_damaged_or_something_else_is_a_data_error_that_names_it(
    tmp_path: Path,
) -> None:
    whole = Path(_file(tmp_path, ("1", "A", [_figure_xml()] * 50), gz=True))
    assert read_prevalence(str(whole)).by_disorder.keys() == {"ORPHA:1"}
    for name, data in (
        ("cut.xml.gz", whole.read_bytes()[:-30]),
        ("cut.xml", b"<JDBOR><Disorder>"),
        ("empty.xml", b""),
        ("other.xml", b"<PubmedArticleSet/>"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name):
            read_prevalence(str(tmp_path / name))
    with pytest.raises(DataError, match=r"nowhere\.xml"):
        read_prevalence(str(tmp_path / "nowhere.xml"))


def _match_disorders(
    folder: Path, concepts: list[Concept], *disorders: tuple[str, str]
) -> dict[str, str]:
    table = read_prevalence(
        _file(folder, *((code, name, [_figure_xml()]) for code, name in disorders))
    )
    return {
        concept_id: prevalence.disorder
        for concept_id, prevalence in match_prevalence(table, concepts).items()
    }


def test_a_disorder_is_matched_by_id_then_reference_then_name(tmp_path: Path) -> None:
    concepts = [
        Concept("ORPHA:1", "One", "disease", (), ""),
        Concept("OMIM:2", "Two", "disease", (), "", xrefs=("ORPHA:2",)),
        Concept("MESH:3", "Three, the Third", "disease", ("three", "the third three"), ""),
        Concept("HP:4", "Four", "phenotype", ("four",), ""),
        Concept("ORPHA:5", "Five", "disease", (), "", xrefs=("ORPHA:50",)),
        Concept("OMIM:6", "Six", "disease", (), ""),
        Concept("OMIM:60", "Six", "disease", (), ""),
    ]
    assert _match_disorders(
        tmp_path,
        concepts,
        ("1", "Other"),
        ("2", "One"),
        ("3", "The Third  Three"),
        ("4", "Four"),
        ("50", "Five"),
        ("5", "Two"),
        ("6", "NON RARE IN EUROPE: Six"),
        ("9", "Nobody"),
    ) == {
        "ORPHA:1": "ORPHA:1",
        "OMIM:2": "ORPHA:2",
        "MESH:3": "ORPHA:3",
        "ORPHA:5": "ORPHA:5",
        "OMIM:6": "ORPHA:6",
    }


def test_where_several_disorders_lead_to_one_concept_the_surer_way_wins_then_the_lower_number(
    tmp_path: Path,
) -> None:
    concept = Concept(
        "OMIM:1", "Kuru", "disease", ("kuru", "laughing death"), "", xrefs=("ORPHA:100", "ORPHA:99")
    )
    assert _match_disorders(tmp_path, [concept], ("7", "Kuru"), ("100", "A"), ("99", "B")) == {
        "OMIM:1": "ORPHA:99"
    }
    assert _match_disorders(tmp_path, [concept], ("8", "Laughing death"), ("7", "Kuru")) == {
        "OMIM:1": "ORPHA:7"
    }


def test_an_entry_term_of_a_heading_is_no_name_of_the_heading(tmp_path: Path) -> None:
    forms = ("epilepsies, progressive", "action myoclonus-renal failure")
    heading = Concept(
        "MESH:epilepsies, progressive", "Epilepsies, Progressive", "disease", forms, ""
    )
    disorders = [("7", "Action myoclonus-renal failure"), ("8", "Epilepsies, progressive")]
    assert _match_disorders(tmp_path, [heading], *disorders) == {heading.concept_id: "ORPHA:8"}
    assert _match_disorders(tmp_path, [heading], disorders[0]) == {}


@pytest.fixture(scope="module")
def orphadata(shared_data: Path) -> PrevalenceTable:
    return read_prevalence(
        str(shared_data / "diagnosis" / "orphadata_prod9_epidemiological_prevalence.xml.gz")
    )


def test_the_real_file_is_read_whole(orphadata: PrevalenceTable) -> None:
    assert (orphadata.disorder_count, len(orphadata.by_disorder), orphadata.bad_count) == (
        6037,
        4408,
        0,
    )
    assert all(0 < prevalence.value <= 0.5 for prevalence in orphadata.by_disorder.values())
    huntington = orphadata.by_disorder["ORPHA:399"]
    assert (huntington.value, huntington.place, huntington.validated) == (
        pytest.approx(2.7e-5),
        "Worldwide",
        True,
    )
    assert (
        "ORPHA:58" not in orphadata.by_disorder
    )  # Alexander disease: an incidence, and a prevalence not known


def test_the_embedded_figures_are_those_of_the_file_they_were_made_from(shared_data: Path) -> None:
    path = shared_data / "diagnosis" / "orphadata_prod9_epidemiological_prevalence.xml.gz"
    embedded, read = load_prevalence(), read_prevalence(str(path))
    assert len(embedded.by_disorder) > 4_000
    assert embedded.by_disorder == read.by_disorder
    assert embedded.bad_count == 0
