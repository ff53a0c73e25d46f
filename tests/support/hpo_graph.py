"""A graph, seed graphs and chains made of real HPO annotations, as the upstream stages would write
them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from medr_ray.core.records import (
    Chain,
    Entity,
    Evidence,
    Relation,
    content_id,
)
from medr_ray.knowledge.hpo import DiseaseFact, DiseaseRecord, load_hpo
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.retrieval.disease_records import document_from_disease, render_line


@dataclass(frozen=True)
class HpoGraph:
    """Entities, relations and chains by id; the ids of the relations around each seed."""

    entities: Mapping[str, Entity]
    relations: Mapping[str, Relation]
    seed_graphs: Mapping[str, tuple[str, ...]]
    chains: Mapping[str, Chain]


def _make_relation(disease: DiseaseRecord, fact: DiseaseFact) -> Relation:
    line = render_line(fact)
    start = document_from_disease(disease).text.index(line)
    evidence = Evidence(
        "hpo", f"HPO:{disease.entity_id}", line, start, start + len(line), fact.reference
    )
    return Relation(
        content_id("rel", disease.entity_id, fact.predicate, fact.object_id, fact.clinical),
        disease.entity_id,
        fact.predicate,
        fact.object_id,
        "",
        "",
        fact.clinical,
        1.0,
        "hpo",
        (evidence,),
    )


def _make_entity(entity_id: str, name: str, kind: str, seed: bool) -> Entity:
    return Entity(entity_id, name, kind, (), "", None, seed)


def hpo_graph(seeds: int, facts_per_disease: int = 12, draw: int = 0) -> HpoGraph:
    """Seed graphs of ``seeds`` diseases: some of their facts, and those of the diseases that share
    their gene.

    The chain of a seed runs seed -> gene -> other disease -> its first fact, as far as there is
    one.
    """
    hpo = load_hpo()
    chance = random.Random(draw)
    chosen = chance.sample(
        sorted(disease_id for disease_id, d in hpo.diseases.items() if len(d.facts) > 2), seeds
    )
    by_gene: dict[str, list[str]] = {}
    for disease in hpo.diseases.values():
        for fact in disease.facts:
            if fact.predicate == "associated_gene":
                by_gene.setdefault(fact.object_id, []).append(disease.entity_id)
    entities: dict[str, Entity] = {}
    relations: dict[str, Relation] = {}
    graphs: dict[str, tuple[str, ...]] = {}
    chains: dict[str, Chain] = {}
    for seed in chosen:
        genes = [
            fact.object_id
            for fact in hpo.diseases[seed].facts
            if fact.predicate == "associated_gene"
        ]
        group = [seed, *sorted({other for gene in genes for other in by_gene[gene]} - {seed})[:2]]
        own: dict[str, Relation] = {}
        for disease_id in group:
            disease = hpo.diseases[disease_id]
            entities.setdefault(
                disease_id, _make_entity(disease_id, disease.name, "disease", disease_id in chosen)
            )
            for fact in disease.facts[:facts_per_disease]:
                relation = _make_relation(disease, fact)
                own[relation.relation_id] = relation
                kind = PREDICATES[fact.predicate].object_type
                entities.setdefault(
                    fact.object_id, _make_entity(fact.object_id, fact.object_name, kind, False)
                )
        relations |= own
        graphs[seed] = tuple(sorted(own))
        chains[seed] = _make_chain(seed, list(own.values()))
    return HpoGraph(entities, relations, graphs, chains)


def _make_chain(seed: str, relations: list[Relation]) -> Chain:
    """A greedy walk from the seed; not the longest, but a chain."""
    nodes, edges = [seed], []
    while True:
        step = next(
            (
                r
                for r in relations
                if nodes[-1] in (r.subject, r.object)
                and (r.object if r.subject == nodes[-1] else r.subject) not in nodes
                and (
                    r.predicate == "associated_gene"
                    or not any(
                        x.predicate == "associated_gene"
                        and nodes[-1] in (x.subject, x.object)
                        and (x.object if x.subject == nodes[-1] else x.subject) not in nodes
                        for x in relations
                    )
                )
            ),
            None,
        )
        if step is None:
            break
        nodes.append(step.object if step.subject == nodes[-1] else step.subject)
        edges.append(step.relation_id)
    return Chain(
        content_id("chain", seed, edges),
        seed,
        tuple(nodes),
        tuple(edges),
        len(edges),
        len(edges),
        True,
        0.0,
        "dfs",
    )
