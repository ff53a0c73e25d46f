"""Orphadata's XML."""

import io
from pathlib import Path

import pytest

from medr_ray.core.config import LexiconSource
from medr_ray.core.errors import DataError
from medr_ray.knowledge.orphanet import read_orphanet
from medr_ray.knowledge.vocabularies import read_source
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry, VocabularyReport


def reference(source: str, local_id: str, relation: str) -> str:
    return (
        f"<ExternalReference><Source>{source}</Source><Reference>{local_id}</Reference>"
        f"<DisorderMappingRelation><Name>{relation}</Name></DisorderMappingRelation></ExternalReference>"
    )


EXACT, BROADER = (
    "E (Exact mapping: the two concepts are equivalent)",
    "NTBT (narrower term maps to a broader term)",
)
PRODUCT_1 = f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<JDBOR date="2025-12-09" version="1.3.42"><DisorderList count="5">
<Disorder id="1"><OrphaCode>558</OrphaCode><Name lang="en">Marfan syndrome</Name>
  <DisorderFlagList count="1"><DisorderFlag id="1"><Value>1</Value><Label>on-line</Label></DisorderFlag>
  </DisorderFlagList>
  <SynonymList count="2"><Synonym lang="en">MFS</Synonym><Synonym lang="en">Marfan
    disease</Synonym></SynonymList>
  <DisorderType id="21394"><Name lang="en">Disease</Name></DisorderType>
  <ExternalReferenceList count="4">{reference("OMIM", "154700", EXACT)}{reference("OMIM", "610168", BROADER)}
    {reference("MeSH", "D008382", EXACT)}{reference("ICD-10", "Q87.4", EXACT)}</ExternalReferenceList></Disorder>
<Disorder id="2"><OrphaCode>828</OrphaCode><Name lang="en">NON RARE IN EUROPE: Stickler syndrome</Name></Disorder>
<Disorder id="3"><OrphaCode>7</OrphaCode><Name lang="en">OBSOLETE: Some syndrome</Name></Disorder>
<Disorder id="4"><OrphaCode>8</OrphaCode><Name lang="en">Old syndrome</Name><DisorderFlagList count="1">
  <DisorderFlag id="1"><Value>2</Value><Label>Inactive: deprecated</Label></DisorderFlag></DisorderFlagList></Disorder>
<Disorder id="5"><OrphaCode>x</OrphaCode><Name lang="en">No code</Name></Disorder>
</DisorderList></JDBOR>"""


def test_product_1_gives_names_synonyms_and_exact_references() -> None:
    report = VocabularyReport("en_product1.xml")
    entries = list(read_orphanet(io.BytesIO(PRODUCT_1.encode("latin-1")), report))
    assert entries == [
        VocabularyEntry(
            "ORPHA:558",
            "Marfan syndrome",
            "disease",
            ("MFS", "Marfan disease"),
            xrefs=("OMIM:154700", "MESH:D008382"),
        ),
        VocabularyEntry("ORPHA:828", "Stickler syndrome", "disease"),
    ]
    assert report.omitted == {"obsolete or inactive": 2}
    assert [skip.where.split(" (")[0] for skip in report.skipped] == ["Disorder 5"]


@pytest.mark.parametrize(
    "name",
    [
        "orphadata_prod4_phenotypes.xml.gz",
        "orphadata_prod9_epidemiological_ages.xml.gz",
        "orphadata_prod9_epidemiological_prevalence.xml.gz",
    ],
)
def test_the_real_products_share_the_structure(shared_data: Path, name: str) -> None:
    entries, report = read_source(
        LexiconSource(format="orphanet", path=str(shared_data / "diagnosis" / name))
    )
    by_id = {entry.concept_id: entry.name for entry in entries}
    assert report.bad_count == 0
    assert len(entries) > 4000
    assert by_id["ORPHA:558"] == "Marfan syndrome"


def test_xml_of_another_kind_says_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "other.xml"
    path.write_text("<DescriptorRecordSet/>")
    with pytest.raises(
        DataError, match=r"other\.xml: expected Orphadata XML with Disorder elements.*no record"
    ):
        read_source(LexiconSource(format="orphanet", path=str(path)))
