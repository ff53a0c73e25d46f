"""The merged graph and its files."""

from pathlib import Path

from medr_ray.core.records import EntityFrequency, Evidence, Relation
from medr_ray.core.run import Directory
from medr_ray.graph import storage
from medr_ray.graph.artifacts import ENTITIES, RELATIONS
from medr_ray.graph.storage import GrownSeed
from medr_ray.graph.vocabulary import Vocabulary


def relation(document: str, subject: str = "OMIM:1") -> Relation:
    return Relation(
        f"rel-{subject}",
        subject,
        "associated_gene",
        "GENE:FBN1",
        "",
        "",
        "",
        1.0,
        "rules",
        (Evidence("pubmed", document, 'p<0.05 & "quoted"', 0, 4, ""),),
    )


def test_seeds_that_found_the_same_relation_share_it() -> None:
    grown = [
        GrownSeed("OMIM:2", (relation("PMID:2"), relation("PMID:3", "OMIM:2"))),
        GrownSeed("OMIM:1", (relation("PMID:1"),)),
    ]
    relations, seeds = storage.merge_seed_graphs(grown)
    assert storage.merge_seed_graphs(reversed(grown)) == (relations, seeds)
    assert [item.document_id for item in relations[0].evidence] == ["PMID:1", "PMID:2"]
    assert seeds == {"OMIM:1": ["rel-OMIM:1"], "OMIM:2": ["rel-OMIM:1", "rel-OMIM:2"]}


def test_the_graph_comes_back_from_its_files(tmp_path: Path, vocabulary: Vocabulary) -> None:
    relations, seeds = storage.merge_seed_graphs(
        [GrownSeed("OMIM:1", (relation("PMID:1"),)), GrownSeed("MESH:1", ())]
    )
    frequency = EntityFrequency("OMIM:1", "Marfan syndrome", "disease", 3, 4, 0.3, 0.1, 0.5)
    entities = storage.build_entities(relations, seeds, vocabulary, {"OMIM:1": frequency})
    directory = Directory(str(tmp_path))
    storage.write_graph(directory, entities, relations, seeds)
    assert directory.read(ENTITIES) == entities
    assert directory.read(RELATIONS) == relations
    assert storage.read_seed_graphs(directory) == seeds
    by_id = {entity.entity_id: entity for entity in entities}
    assert (by_id["OMIM:1"].is_seed, by_id["OMIM:1"].frequency) == (True, 0.3)
    assert (by_id["GENE:FBN1"].is_seed, by_id["GENE:FBN1"].frequency) == (False, None)
    assert by_id["MESH:1"].aliases == ("aplastic anaemia",)
