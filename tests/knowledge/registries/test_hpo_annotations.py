"""Facts of HPO's disease annotations: every row with its qualifiers, and what is left out."""

import gzip
from pathlib import Path

from medr_ray.core.records import Fact
from medr_ray.knowledge.registries import RecordFacts, UnusableRecords
from medr_ray.knowledge.registries.hpo_annotations import (
    GeneRow,
    HpoaRow,
    read_hpo_annotations_facts,
)

_HEADER = "\t".join(HpoaRow._fields)
_GENES_HEADER = "\t".join(GeneRow._fields)


def _row(
    disease: str = "OMIM:1",
    name: str = "One",
    qualifier: str = "",
    term: str = "HP:0001250",
    frequency: str = "3/7",
    onset: str = "",
    sex: str = "",
    aspect: str = "P",
) -> str:
    return "\t".join(
        (
            disease,
            name,
            qualifier,
            term,
            "OMIM:1;PMID:1",
            "PCS",
            onset,
            frequency,
            sex,
            "",
            aspect,
            "HPO:x",
        )
    )


def _write(folder: Path, *rows: str, header: str = _HEADER) -> str:
    path = folder / "phenotype.hpoa"
    path.write_text("\n".join(("#version: 2025-01-16", header, *rows, "")))
    return str(path)


def _read(*paths: str) -> tuple[list[RecordFacts], UnusableRecords]:
    unusable = UnusableRecords()
    return list(read_hpo_annotations_facts(paths, unusable)), unusable


def _qualifiers(fact: Fact) -> dict[str, str]:
    return {qualifier.name: qualifier.value for qualifier in fact.qualifiers}


def test_every_row_is_a_fact_with_its_qualifiers_and_the_value_as_printed(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        _row(onset="HP:0003577", sex="MALE"),
        _row(frequency="1/2"),
        _row(term="HP:0000007", frequency="", aspect="I"),
        _row(term="HP:0003593", frequency="", aspect="C"),
    )
    (record,), unusable = _read(path)
    assert not unusable
    assert (record.record_id, record.title, record.as_of) == ("OMIM:1", "One", "2025-01-16")
    assert [(fact.predicate, fact.object) for fact in record.facts] == [
        ("has_finding", "HP:0001250"),
        ("has_finding", "HP:0001250"),
        ("has_inheritance", "HP:0000007"),
        ("has_onset", "HP:0003593"),
    ]
    first = record.facts[0]
    assert _qualifiers(first) == {
        "frequency": "3/7",
        "reference": "PMID:1;OMIM:1",
        "evidence_code": "PCS",
        "onset": "Congenital onset",
        "sex": "male",
    }
    assert (first.evidence.field, first.evidence.value) == ("hpo_id", "HP:0001250")
    assert {entity.names for entity in record.entities} >= {("One",), ("Seizure",)}


def test_negated_excluded_and_retired_statements_are_left_out(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        _row(qualifier="NOT"),
        _row(frequency="0/5"),
        _row(frequency="0%"),
        _row(frequency="HP:0040285"),
        _row(term="HP:0003829", aspect="I"),  # incomplete penetrance is no mode of inheritance
        _row("OMIM:2", "^100000 MOVED TO 200000"),
    )
    (record,), _ = _read(path)
    assert (record.record_id, record.facts) == ("OMIM:1", ())


def test_a_bad_frequency_or_term_costs_that_row_only(tmp_path: Path) -> None:
    path = _write(tmp_path, _row(frequency="9/7"), _row(term="HP:9999999"), _row(), "OMIM:1\tOne")
    (record,), unusable = _read(path)
    assert len(record.facts) == 1
    assert [field for field, _ in record.problems] == ["frequency", "hpo_id"]
    assert [bad.where for bad in unusable] == ["line 6"]


def test_a_missing_column_is_named_and_other_files_are_read(tmp_path: Path) -> None:
    bad = _write(tmp_path, _row(), header=_HEADER.replace("\tfrequency", ""))
    genes = tmp_path / "genes_to_phenotype.txt"
    genes.write_text(f"{_GENES_HEADER}\n2200\tFBN1\tHP:0000001\tAll\t-\tOMIM:1\n")
    (record,), unusable = _read(bad, str(genes))
    assert [fact.object for fact in record.facts] == ["GENE:FBN1"]
    assert unusable[0].file == bad
    assert "frequency" in unusable[0].reason


def test_the_gene_of_a_susceptibility_carries_it_and_repeats_are_one_fact(tmp_path: Path) -> None:
    genes = tmp_path / "genes_to_phenotype.txt"
    rows = [
        f"{number}\tG{number}\tHP:000000{number}\tX\t-\tOMIM:{disease}"
        for disease in (1, 2)
        for number in (1, 1, 2)
    ]
    genes.write_text("\n".join([_GENES_HEADER, *rows, "3\t-\tHP:0000001\tX\t-\tOMIM:1", ""]))
    annotations = _write(tmp_path, _row(), _row("OMIM:2", "Psoriasis 15, susceptibility to"))
    records, _ = _read(annotations, str(genes))
    linked = {
        record.record_id: [
            (fact.object, _qualifiers(fact).get("association"))
            for fact in record.facts
            if fact.predicate == "associated_gene"
        ]
        for record in records
    }
    assert linked == {
        "OMIM:1": [("GENE:G1", None), ("GENE:G2", None)],
        "OMIM:2": [("GENE:G1", "susceptibility"), ("GENE:G2", "susceptibility")],
    }
    assert records[1].title == "Psoriasis 15, susceptibility to"


def test_a_file_that_is_cut_off_gives_what_came_before(tmp_path: Path) -> None:
    rows = [_row(frequency=f"{number}/9999") for number in range(1, 9999)]
    packed = gzip.compress("\n".join(("#version: 2025-01-16", _HEADER, *rows)).encode())
    path = tmp_path / "phenotype.hpoa.gz"
    path.write_bytes(packed[: len(packed) // 2])
    (record,), unusable = _read(str(path))
    assert 100 < len(record.facts) < 9998
    assert "broken gzip" in unusable[-1].reason
