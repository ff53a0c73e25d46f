"""A finished facts stage with few facts, or none."""

from collections.abc import Sequence

from medr_ray.core.records import Fact, RegistryEntity, to_table
from medr_ray.core.run import MANIFEST, RunDirectory
from medr_ray.graph.facts.artifacts import FACT_ENTITIES
from medr_ray.graph.facts.fact_store import build_fact_store


def write_facts(
    run: RunDirectory,
    facts: Sequence[Fact] = (),
    entities: Sequence[RegistryEntity] = (),
    fingerprint: str = "facts",
) -> None:
    directory = run.stage("facts")
    directory.write(FACT_ENTITIES, entities)
    build_fact_store(directory, [to_table(Fact, facts)], [to_table(RegistryEntity, entities)])
    directory.write_json(
        MANIFEST, {"fingerprint": fingerprint, "counts": {"facts": len(facts)}, "seconds": 0.1}
    )
