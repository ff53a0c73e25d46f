"""Growing a graph: the paper's walk, its bounds, and what it does not depend on."""

from collections.abc import Collection

import pytest

from medr_ray.core.config import GraphConfig
from medr_ray.core.records import Evidence, Relation
from medr_ray.graph.expansion import Expander, SeedGraph, choose, query_about, seeded_random
from medr_ray.graph.extraction import Extraction, relation_id
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.lexicon import Concept
from medr_ray.retrieval.documents import Document

DISEASES = 12


def relation(subject: str, predicate: str, obj: str, clinical: str = "", confidence: float = 1.0) -> Relation:
    evidence = (Evidence("hpo", f"HPO:{subject}", "s", 0, 1, ""),)
    return Relation(relation_id(subject, predicate, obj, clinical), subject, predicate, obj, "", "", clinical,
                    confidence, "rules", evidence)


def document(disease: int) -> Document:
    return Document(f"HPO:D{disease}", "hpo", f"disease {disease}", "", None, (), False, "")


class Facts:
    """Disease i shares the gene Gi with disease i + 1, and has findings of its own."""

    def extract(self, found: Document, focus: Collection[str] | None = None) -> Extraction:
        i = int(found.document_id.removeprefix("HPO:D"))
        stated = [relation(f"D{i}", "associated_gene", f"G{i}")]
        stated += [relation(f"D{i}", "has_finding", "P", "3 of 7 patients")]
        stated += [relation(f"D{i}", "associated_gene", f"G{i - 1}")] if i else []
        kept = [one for one in stated if focus is None or one.subject in focus or one.object in focus]
        return Extraction(tuple(sorted({one.subject for one in kept} | {one.object for one in kept})), tuple(kept))


class Shelf:
    """Answers a query with the diseases whose number it names, and the one after."""

    def record(self, entity: str) -> Document | None:
        return document(int(entity[1:])) if entity.startswith("D") else None

    def about(self, query: str, count: int) -> list[Document]:
        number = int("".join(filter(str.isdigit, query)) or 0)
        return [document(i) for i in (number, number + 1) if i < DISEASES][:count]


@pytest.fixture(scope="module")
def shared_genes() -> Vocabulary:
    concepts = [Concept(f"D{i}", f"disease {i}", "disease", (f"disease {i}",), "") for i in range(DISEASES)]
    concepts += [Concept(f"G{i}", f"gene {i}", "gene", (f"gene {i}",), "") for i in range(DISEASES)]
    return Vocabulary([*concepts, Concept("P", "Seizure", "phenotype", ("seizure",), "")])


def grow(vocabulary: Vocabulary, seed: str, run_seed: int = 0, **settings: float) -> SeedGraph:
    return Expander(Shelf(), Facts(), vocabulary, GraphConfig.model_validate(settings), run_seed).expand(seed)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_the_graph_is_connected_and_every_relation_evidenced(shared_genes: Vocabulary, probability: float) -> None:
    graph = grow(shared_genes, "D3", steps=8, neighbour_probability=probability)
    reached, waiting = {"D3"}, ["D3"]
    while waiting:
        current = waiting.pop()
        for one in graph.relations.values():
            ends = {one.subject, one.object}
            if current in ends and not ends <= reached:
                waiting += ends - reached
                reached |= ends
    assert reached == graph.entities
    assert len(graph.read) > 3
    assert all(one.evidence for one in graph.relations.values())


def test_the_seed_of_the_run_and_the_entity_decide_and_nothing_else(shared_genes: Vocabulary) -> None:
    first = grow(shared_genes, "D5", run_seed=7)
    expander = Expander(Shelf(), Facts(), shared_genes, GraphConfig(), 7)
    for other in ("D1", "D2"):
        expander.expand(other)
    assert expander.expand("D5").relations == first.relations
    assert seeded_random(7, "D5").random() != seeded_random(8, "D5").random() != seeded_random(7, "D6").random()


def test_bounds_hold(shared_genes: Vocabulary) -> None:
    assert len(grow(shared_genes, "D3", steps=12, max_entities=4).entities) <= 4
    short = grow(shared_genes, "D3", steps=1, max_relations_per_entity=1, neighbour_probability=1)
    assert len(short.relations) == 2  # the one chosen, and the one that ties a discovery to the graph


def test_findings_are_not_walked_to(shared_genes: Vocabulary) -> None:
    assert "P" not in grow(shared_genes, "D3", steps=12).read


def test_doubtful_relations_stay_out(shared_genes: Vocabulary) -> None:
    assert grow(shared_genes, "D3", min_confidence=1.0).relations

    class Doubtful(Facts):
        def extract(self, found: Document, focus: Collection[str] | None = None) -> Extraction:
            return Extraction((), (relation("D3", "treated_with", "R", confidence=0.3),))

    assert not Expander(Shelf(), Doubtful(), shared_genes, GraphConfig(), 0).expand("D3").relations


def test_what_singles_out_its_object_is_chosen_first() -> None:
    inheritance = relation("D", "has_inheritance", "V1")
    alone = relation("D", "has_finding", "P1", "3 of 7 patients")
    shared = [relation("D", "has_finding", name, "30-79% of patients") for name in ("P2", "P3")]
    vague = relation("D", "has_finding", "P4", "some patients")
    assert choose([vague, *shared, alone, inheritance], "D", 3) == [inheritance, alone, vague]
    assert choose([vague, *shared, alone], "D", 9)[-2:] == sorted(shared, key=lambda one: one.relation_id)


def test_entities_are_looked_up_as_what_a_disease_has_to_do_with_them(shared_genes: Vocabulary) -> None:
    assert query_about("D1", shared_genes) == "disease 1"
    assert query_about("G1", shared_genes) == "disease associated with gene 1"
