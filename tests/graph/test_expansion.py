"""Growing a graph: the paper's walk, its bounds, and what it does not depend on."""

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import pytest

from medr_ray.core.config import GraphConfig
from medr_ray.core.records import Evidence, Relation
from medr_ray.graph.expansion import (
    Expander,
    GrowingGraph,
    build_query,
    make_rng,
    rank_relations,
    resolve_ids,
)
from medr_ray.graph.expansion_worker import CachingExtractor
from medr_ray.graph.extraction.extractor import Extraction, build_relation_id
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.documents import Document

DISEASES = 12


def make_relation(
    subject: str, predicate: str, obj: str, clinical: str = "", confidence: float = 1.0
) -> Relation:
    evidence = (Evidence("hpo", f"HPO:{subject}", "s", 0, 1, ""),)
    return Relation(
        build_relation_id(subject, predicate, obj, clinical),
        subject,
        predicate,
        obj,
        "",
        "",
        clinical,
        confidence,
        "rules",
        evidence,
    )


def make_document(disease: int) -> Document:
    return Document(f"HPO:D{disease}", "hpo", f"disease {disease}", "", None, (), False, "")


class FakeExtractor:
    """Extracts made-up relations: disease i shares the gene Gi with disease i + 1, and a finding
    and the mode of inheritance with all."""

    def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
        i = int(document.document_id.removeprefix("HPO:D"))
        relations = [make_relation(f"D{i}", "associated_gene", f"G{i}")]
        relations += [make_relation(f"D{i}", "has_finding", "P", "3 of 7 patients")]
        relations += [make_relation(f"D{i}", "has_inheritance", "V")]
        relations += [make_relation(f"D{i}", "associated_gene", f"G{i - 1}")] if i else []
        kept = [
            relation
            for relation in relations
            if focus is None or relation.subject in focus or relation.object in focus
        ]
        return Extraction(
            tuple(
                sorted(
                    {relation.subject for relation in kept} | {relation.object for relation in kept}
                )
            ),
            tuple(kept),
        )


class FakeLibrary:
    """Answers a query with the diseases whose number it names, and the one after."""

    def find_record(self, entity: str) -> Document | None:
        return make_document(int(entity[1:])) if entity.startswith("D") else None

    def search(self, query: str, count: int) -> list[Document]:
        number = int("".join(filter(str.isdigit, query)) or 0)
        return [make_document(i) for i in (number, number + 1) if i < DISEASES][:count]


@pytest.fixture(scope="module")
def shared_genes() -> Vocabulary:
    concepts = [
        Concept(f"D{i}", f"disease {i}", "disease", (f"disease {i}",), "") for i in range(DISEASES)
    ]
    concepts += [Concept(f"G{i}", f"gene {i}", "gene", (f"gene {i}",), "") for i in range(DISEASES)]
    concepts += [
        Concept("P", "Seizure", "phenotype", ("seizure",), ""),
        Concept("V", "X-linked", "value", (), ""),
    ]
    return Vocabulary(concepts)


def grow(vocabulary: Vocabulary, seed: str, run_seed: int = 0, **settings: float) -> GrowingGraph:
    return Expander(
        FakeLibrary(), FakeExtractor(), vocabulary, GraphConfig.model_validate(settings), run_seed
    ).expand(seed)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_the_graph_is_connected_and_every_relation_evidenced(
    shared_genes: Vocabulary, probability: float
) -> None:
    graph = grow(shared_genes, "D3", steps=8, neighbour_probability=probability)
    reached, waiting = {"D3"}, ["D3"]
    while waiting:
        current = waiting.pop()
        for relation in graph.relations.values():
            ends = {relation.subject, relation.object}
            if current in ends and not ends <= reached:
                waiting += ends - reached
                reached |= ends
    assert reached == graph.entities
    assert len(graph.readings) > 3
    assert all(relation.evidence for relation in graph.relations.values())


def test_the_seed_of_the_run_and_the_entity_decide_and_nothing_else(
    shared_genes: Vocabulary,
) -> None:
    first = grow(shared_genes, "D5", run_seed=7)
    expander = Expander(FakeLibrary(), FakeExtractor(), shared_genes, GraphConfig(), 7)
    for other in ("D1", "D2"):
        expander.expand(other)
    assert expander.expand("D5").relations == first.relations
    assert make_rng(7, "D5").random() != make_rng(8, "D5").random() != make_rng(7, "D6").random()


def count_degrees(graph: GrowingGraph) -> Counter[str]:
    return Counter(
        end for relation in graph.relations.values() for end in (relation.subject, relation.object)
    )


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("steps", "entities", "relations"), [(12, 4, 9), (12, 9, 2), (3, 60, 12), (12, 60, 1)]
)
def test_bounds_hold_whichever_step_a_relation_comes_from(
    shared_genes: Vocabulary, probability: float, steps: int, entities: int, relations: int
) -> None:
    for seed in ("D0", "D3", "G4", "P"):
        graph = grow(
            shared_genes,
            seed,
            steps=steps,
            max_entities=entities,
            max_relations_per_entity=relations,
            neighbour_probability=probability,
        )
        assert seed in graph.entities
        assert len(graph.entities) <= entities
        assert len(graph.readings) <= steps
        assert max(count_degrees(graph).values()) <= relations
    assert (
        max(count_degrees(grow(shared_genes, "P", steps=12, max_relations_per_entity=9)).values())
        > 2
    )


def test_the_last_step_adds_nothing_that_is_not_read_about(shared_genes: Vocabulary) -> None:
    for probability in (0, 1):
        alone = grow(shared_genes, "D3", steps=1, neighbour_probability=probability)
        assert list(alone.readings) == ["D3"]
        assert all(
            "D3" in (relation.subject, relation.object) for relation in alone.relations.values()
        )


def test_a_sign_or_a_gene_leads_to_other_diseases(shared_genes: Vocabulary) -> None:
    for seed in ("P", "G4"):
        graph = grow(shared_genes, seed, steps=2, neighbour_probability=1)
        following = list(graph.readings)[1]
        assert following.startswith("D")
        assert any(
            following in (relation.subject, relation.object)
            and seed in (relation.subject, relation.object)
            for relation in graph.relations.values()
        )
    walked = [
        grow(shared_genes, "D3", steps=6, run_seed=i, neighbour_probability=1).readings
        for i in range(20)
    ]
    assert any("P" in readings for readings in walked)


def test_what_leads_nowhere_is_not_walked_to(shared_genes: Vocabulary) -> None:
    graphs = [grow(shared_genes, "D3", steps=12, run_seed=i) for i in range(20)]
    assert all("V" in graph.entities for graph in graphs)
    assert all("V" not in graph.readings for graph in graphs)


def test_duplicates_are_folded_into_the_kept_id(shared_genes: Vocabulary) -> None:
    merged = Vocabulary(
        [
            replace(concept, xrefs=("ORPHA:3",) if concept.concept_id == "D3" else ())
            for concept in shared_genes.concepts.values()
        ],
        {"HP:old": "P"},
    )

    class OutdatedExtractor(FakeExtractor):
        def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
            old = {"D3": "ORPHA:3", "P": "HP:old"}
            relations = [
                make_relation(
                    old.get(item.subject, item.subject),
                    item.predicate,
                    old.get(item.object, item.object),
                    item.clinical,
                )
                for item in super().extract(document).relations
            ]
            return Extraction((), tuple(relations))

    graph = Expander(FakeLibrary(), OutdatedExtractor(), merged, GraphConfig(), 0).expand("D3")
    assert {"ORPHA:3", "HP:old"}.isdisjoint(graph.entities)
    assert graph.relations.keys() == grow(shared_genes, "D3").relations.keys()


def test_folding_keeps_relations_well_typed_and_symmetric_ones_in_order() -> None:
    genes = Vocabulary(
        [
            Concept("G2", "B", "gene", (), ""),
            Concept("G5", "C", "gene", (), "", (), ("HGNC:1",)),
            Concept("D", "disease", "disease", (), "", (), ("OMIM:7",)),
        ]
    )
    moved = resolve_ids(make_relation("HGNC:1", "gene_interaction", "G2"), genes)
    assert moved is not None
    assert (moved.subject, moved.object) == ("G2", "G5")
    assert moved.relation_id == build_relation_id("G2", "gene_interaction", "G5", "")
    assert resolve_ids(make_relation("G5", "gene_interaction", "HGNC:1"), genes) is None
    assert resolve_ids(make_relation("D", "associated_gene", "OMIM:7"), genes) is None
    shared = Vocabulary(
        [
            Concept(concept_id, concept_id, "disease", (), "", (), ("X:1",))
            for concept_id in ("A", "B")
        ]
    )
    assert shared.canonical_id("X:1") == "X:1"  # two are known by it


def test_a_record_is_found_under_another_id_of_the_disease(shared_genes: Vocabulary) -> None:
    vocabulary = Vocabulary(
        [Concept("MONDO:1", "disease 99", "disease", (), "", (), ("ORPHA:1", "D3"))]
    )

    class EmptyLibrary(FakeLibrary):
        def search(self, query: str, count: int) -> list[Document]:
            return []

    assert [
        document.document_id
        for document in Expander(
            EmptyLibrary(), FakeExtractor(), vocabulary, GraphConfig(), 0
        )._documents("MONDO:1")
    ] == ["HPO:D3"]


def test_a_grown_seed_is_current_until_other_documents_are_found(shared_genes: Vocabulary) -> None:
    class ChangedLibrary(FakeLibrary):
        """Has another text about one disease."""

        def __init__(self, title: str, text: str) -> None:
            self.title = title
            self.text = text

        def search(self, query: str, count: int) -> list[Document]:
            documents = super().search(query, count)
            return [
                replace(document, text=self.text) if document.title == self.title else document
                for document in documents
            ]

    def expander(library: FakeLibrary) -> Expander:
        return Expander(library, FakeExtractor(), shared_genes, GraphConfig(), 0)

    graph = expander(FakeLibrary()).expand("D3")
    grown = graph.to_grown_seed()
    assert [reading.entity for reading in grown.readings] == list(graph.readings)
    assert expander(FakeLibrary()).is_up_to_date(grown)
    read, unread = "disease 3", "disease 9"
    assert "D9" not in graph.readings
    assert expander(ChangedLibrary(unread, "another text")).is_up_to_date(grown)
    assert not expander(ChangedLibrary(read, "another text")).is_up_to_date(grown)


def test_all_documents_of_a_step_are_announced_together(shared_genes: Vocabulary) -> None:
    batches: list[list[str]] = []
    expander = Expander(
        FakeLibrary(),
        FakeExtractor(),
        shared_genes,
        GraphConfig(steps=2),
        0,
        lambda documents: batches.append([document.document_id for document in documents]),
    )
    expander.expand("D3")
    assert batches[0] == ["HPO:D3", "HPO:D4"]
    assert len(batches) == 2


def test_doubtful_relations_stay_out(shared_genes: Vocabulary) -> None:
    assert grow(shared_genes, "D3", min_confidence=1.0).relations

    class DoubtfulExtractor(FakeExtractor):
        def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
            return Extraction((), (make_relation("D3", "treated_with", "R", confidence=0.3),))

    assert (
        not Expander(FakeLibrary(), DoubtfulExtractor(), shared_genes, GraphConfig(), 0)
        .expand("D3")
        .relations
    )


def test_a_document_is_read_once_for_any_focus() -> None:
    read: list[str] = []

    class CountingExtractor(FakeExtractor):
        def extract(self, document: Document, focus: Collection[str] | None = None) -> Extraction:
            read.append(document.document_id)
            return super().extract(document, focus)

    caching = CachingExtractor(CountingExtractor())
    for focus in (None, {"G2"}, {"P"}):
        assert (
            caching.extract(make_document(3), focus).relations
            == FakeExtractor().extract(make_document(3), focus).relations
        )
    caching.extract(make_document(4))
    assert read == ["HPO:D3", "HPO:D4"]


def test_what_singles_out_its_object_is_chosen_first() -> None:
    inheritance = make_relation("D", "has_inheritance", "V1")
    alone = make_relation("D", "has_finding", "P1", "3 of 7 patients")
    shared = [
        make_relation("D", "has_finding", name, "30-79% of patients") for name in ("P2", "P3")
    ]
    vague = make_relation("D", "has_finding", "P4", "some patients")
    assert rank_relations([vague, *shared, alone, inheritance], "D")[:3] == [
        inheritance,
        alone,
        vague,
    ]
    assert rank_relations([vague, *shared, alone], "D")[-2:] == sorted(
        shared, key=lambda relation: relation.relation_id
    )
    ranks = [predicate.expansion_rank for predicate in PREDICATES.values()]
    assert sorted(ranks) == list(range(len(PREDICATES)))


def test_entities_are_looked_up_as_what_a_disease_has_to_do_with_them(
    shared_genes: Vocabulary,
) -> None:
    assert build_query("D1", shared_genes) == "disease 1"
    assert build_query("G1", shared_genes) == "disease associated with gene 1"
    assert build_query("P", shared_genes) == "disease that presents with Seizure"
    assert build_query("V", shared_genes) == "X-linked"
