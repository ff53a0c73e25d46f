"""A hand-made medical graph: two genes, three diseases, their facts, one sentence of evidence
each."""

from collections.abc import Iterable

from support.disease_lines import make_line

from medr_ray.core.records import Chain, Entity, Evidence, Relation
from medr_ray.graph.facts.fact_index import FactIndex, IndexedFact, build_fact_index
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.questions.drafting.drafter import QuestionGraph
from medr_ray.retrieval.disease_records import CATEGORIES

MARFAN, MASS, STICKLER = "OMIM:154700", "OMIM:604308", "OMIM:108300"
_NAMES = {
    MARFAN: ("Marfan syndrome", "disease", ("MFS",)),
    MASS: ("MASS syndrome", "disease", ()),
    STICKLER: ("Stickler syndrome, type I", "disease", ()),
    "GENE:FBN1": ("FBN1", "gene", ("fibrillin 1",)),
    "GENE:COL2A1": ("COL2A1", "gene", ()),
    "HP:0000006": ("Autosomal dominant inheritance", "value", ()),
    "HP:0003577": ("Congenital onset", "value", ()),
    "HP:0001083": ("Ectopia lentis", "phenotype", ("Dislocated lens",)),
    "HP:0000545": ("Myopia", "phenotype", ()),
    "HP:0000541": ("Retinal detachment", "phenotype", ()),
    "HP:0001166": ("Arachnodactyly", "phenotype", ()),
    "D:losartan": ("Losartan", "drug", ()),
    "D:atenolol": ("Atenolol", "drug", ()),
}
_FACTS = {
    "fbn1": (MARFAN, "associated_gene", "GENE:FBN1", ""),
    "fbn1-mass": (MASS, "associated_gene", "GENE:FBN1", ""),
    "col2a1": (STICKLER, "associated_gene", "GENE:COL2A1", ""),
    "inherit": (MARFAN, "has_inheritance", "HP:0000006", ""),
    "inherit-stickler": (STICKLER, "has_inheritance", "HP:0000006", ""),
    "onset-mass": (MASS, "has_onset", "HP:0003577", ""),
    "lens": (MARFAN, "has_finding", "HP:0001083", "3 of 7 patients"),
    "myopia": (MARFAN, "has_finding", "HP:0000545", "some patients"),
    "arachno": (MARFAN, "has_finding", "HP:0001166", "all patients"),
    "detach": (STICKLER, "has_finding", "HP:0000541", "45% of patients"),
}


def make_relation(
    relation_id: str, subject: str, predicate: str, obj: str, clinical: str = ""
) -> Relation:
    """A relation with one passage of evidence: a record's line where records have such lines."""
    if predicate in CATEGORIES:
        sentence = make_line(predicate, obj, clinical)
    else:
        sentence = PREDICATES[predicate].render_sentence(subject, obj, clinical)
    evidence = Evidence("hpo", f"HPO:{subject}", sentence, 0, len(sentence), "PMID:1")
    return Relation(relation_id, subject, predicate, obj, "", "", clinical, 1.0, "hpo", (evidence,))


def reported_relation(
    relation_id: str, subject: str, predicate: str, obj: str, *reports: tuple[int | None, str]
) -> Relation:
    """A relation that abstracts of these years and journals state."""
    sentence = PREDICATES[predicate].render_sentence(subject, obj)
    evidence = tuple(
        Evidence("pubmed", f"PMID:{number}", sentence, 0, len(sentence), "", year, journal)
        for number, (year, journal) in enumerate(reports, 1)
    )
    return Relation(relation_id, subject, predicate, obj, "", "", "", 0.8, "rules", evidence)


def small_graph(without: Iterable[str] = (), extra: Iterable[Relation] = ()) -> QuestionGraph:
    """The graph, less some relations and with others; Marfan syndrome is the seed of one chain,
    Stickler of another."""
    relations = {
        key: make_relation(key, *fact) for key, fact in _FACTS.items() if key not in set(without)
    }
    relations |= {relation.relation_id: relation for relation in extra}
    entities = {
        key: Entity(key, name, kind, aliases, "", None, key in (MARFAN, STICKLER))
        for key, (name, kind, aliases) in _NAMES.items()
    }
    chains = {
        MARFAN: Chain(
            "chain-m",
            MARFAN,
            ("HP:0001083", MARFAN, "GENE:FBN1", MASS, "HP:0003577"),
            ("lens", "fbn1", "fbn1-mass", "onset-mass"),
            4,
            4,
            True,
            0.0,
            "dfs",
        ),
        STICKLER: Chain(
            "chain-s",
            STICKLER,
            ("GENE:COL2A1", STICKLER, "HP:0000006"),
            ("col2a1", "inherit-stickler"),
            2,
            2,
            True,
            0.0,
            "dfs",
        ),
    }
    graphs = {
        seed: tuple(
            sorted(
                key
                for key, relation in relations.items()
                if seed in (relation.subject, relation.object)
            )
        )
        for seed in (MARFAN, STICKLER)
    }
    return QuestionGraph(
        entities, relations, graphs, chains, {MARFAN: "genetics", STICKLER: "ophthalmology"}
    )


def fact_index_of(graph: QuestionGraph, statements: Iterable[IndexedFact] = ()) -> FactIndex:
    """The fact index of a graph, with facts that the graph left out: so an onset or a share alone
    tells no disease."""
    left_out = [
        IndexedFact(STICKLER, "has_onset", "HP:0003593", ""),
        IndexedFact(MASS, "has_finding", "HP:0001166", "45% of patients"),
    ]
    return build_fact_index(graph.entities, graph.relations.values(), [*left_out, *statements])
