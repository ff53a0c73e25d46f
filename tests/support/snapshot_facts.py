"""Facts of the embedded snapshot as a table: some records of some registries."""

from collections.abc import Collection, Mapping

from medr_ray.core.records import FactSource
from medr_ray.graph.facts.fact_table import FactTable, StatedFact, TableEntity
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.registries.snapshot import locate_snapshot, read_snapshot


def build_snapshot_table(
    record_ids: Mapping[FactSource, Collection[str] | None], *others: StatedFact
) -> FactTable:
    """The facts of these records as the snapshot has them, of all where None are named; and
    further ones."""
    facts = list(others)
    names: dict[str, TableEntity] = {}
    for source, wanted in record_ids.items():
        for record in read_snapshot(source, locate_snapshot("")):
            if wanted is not None and record.record_id not in wanted:
                continue
            for entity in record.entities:
                earlier = names.get(entity.entity_id)
                own = (*(earlier.names if earlier else ()), *entity.names)
                names[entity.entity_id] = TableEntity(entity.entity_type, tuple(dict.fromkeys(own)))
            for fact in record.facts:
                value = fact.object if fact.literal is None else make_value_id(fact.literal)
                facts.append(
                    StatedFact(
                        fact.fact_id,
                        fact.subject,
                        fact.predicate,
                        value,
                        fact.literal.number if fact.literal else None,
                        fact.as_of,
                        tuple((item.name, item.value) for item in fact.qualifiers),
                        source,
                        record.record_id,
                    )
                )
    return FactTable.build(facts, names)
