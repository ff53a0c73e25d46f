"""Which concept of HPO a MeSH heading is."""

import pytest

from medr_ray.core.records import EntityType
from medr_ray.knowledge.dictionaries import DictionaryEntry
from medr_ray.knowledge.heading_identity import HeadingMatcher
from medr_ray.knowledge.identity import SYNONYM_PENALTY, ConceptDraft


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
]
_ENTRIES = [
    DictionaryEntry("MESH:class", "class", (), ("C10.1",)),
    DictionaryEntry("MESH:member", "member", (), ("C10.1.5",)),
]


@pytest.mark.parametrize(
    ("heading", "trees", "concept_id"),
    [
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
        (
            _draft("M", "encephaloceles of the brow", "frontal encephaloceles"),
            ("C10.2",),
            "ORPHA:3",
        ),
        (_draft("M", "vesico ureteral reflux", "vesicoureteral reflux type 1"), ("C10.2",), ""),
    ],
)
def test_a_heading_is_what_its_name_or_as_a_leaf_its_only_synonym_names(
    heading: ConceptDraft, trees: tuple[str, ...], concept_id: str
) -> None:
    concept = HeadingMatcher(_HPO, _ENTRIES).find_concept(heading, trees)
    assert (concept.concept_id if concept else "") == concept_id
