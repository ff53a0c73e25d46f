"""The facts of a run in a LanceDB database, where the facts about one entity are found by index.

Tables: ``facts`` with the columns of ``Fact``, indexed by subject and object, and ``entities``
with those of ``RegistryEntity``, indexed by id. The same tables in the same order give the same
answers.
"""

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from medr_ray.core.errors import DataError
from medr_ray.core.records import Fact, NodeType, RegistryEntity, arrow_schema, from_table
from medr_ray.core.run import Directory
from medr_ray.graph.facts.artifacts import FACT_ENTITIES
from medr_ray.knowledge.registries import FACT_PREDICATES
from medr_ray.retrieval.filters import sql_in
from medr_ray.retrieval.index import connect_database, rewrite_table

_FACTS = "facts"
_ENTITIES = "entities"
# Of an entity that is the object of very many facts, such as a company: what one reader can use,
# see ``choose_facts``.
_MAX_FACTS_AS_OBJECT = 200
_MAX_FACTS_AS_SUBJECT = 5000
_MAX_CACHED_ENTITIES = 1024  # with their facts
_MAX_CACHED_NAMES = 200_000
_IDS_PER_QUERY = 500
_CARDINALITY_ORDER = {"functional": 0, "conditional": 1, "many": 2}


def build_fact_store(
    directory: Directory, facts: Iterable[pa.Table], entities: Iterable[pa.Table]
) -> None:
    """(Re)write both tables and their indices."""
    from lancedb.index import BTree

    database = connect_database(directory)
    for name, record, tables, columns in (
        (_FACTS, Fact, facts, ("subject", "object")),
        (_ENTITIES, RegistryEntity, entities, ("entity_id",)),
    ):
        schema = arrow_schema(record)
        # A generator, so that one part at a time is in memory.
        batches = (batch for table in tables for batch in table.to_batches())
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        table = rewrite_table(database, name, reader)
        if table.count_rows():
            for column in columns:
                table.create_index(column, config=BTree())


def read_entity_names(directory: Directory) -> pl.DataFrame:
    """The names of all entities, in the columns that ``entities.concept_summary.find_concepts``
    expects."""
    columns = ["entity_id", "names", "entity_type"]
    table = pl.DataFrame(directory.read_columns(FACT_ENTITIES, columns))
    first_name = pl.col("names").list.first().fill_null(pl.col("entity_id"))
    return table.select(
        pl.col("entity_id").alias("concept_id"),
        first_name.alias("name"),
        "entity_type",
        pl.col("names").alias("forms"),
    )


def read_stored_facts(
    directory: Directory, predicates: Collection[str], columns: Sequence[str]
) -> pa.Table:
    """Columns of all facts that have one of the predicates, in no particular order: of each
    registry the newest edition alone, companies under one id. The parts of the stage are neither.
    Raises DataError where there is no store."""
    rows = _open_tables(directory).open_table(_FACTS).search()
    return rows.where(sql_in("predicate", sorted(predicates))).select(list(columns)).to_arrow()


def _open_tables(directory: Directory) -> Any:
    database = connect_database(directory)
    if _FACTS not in database.list_tables().tables:
        raise DataError(f"{directory.uri}: no facts here; run `medr facts run`")
    return database


class FactStore:
    """Facts and entities of a finished facts stage, read on demand."""

    def __init__(self, facts: Any, entities: Any) -> None:
        self._facts = facts
        self._entities = entities
        self._entity_cache: dict[str, RegistryEntity | None] = {}
        # The cache belongs to the instance: as a decorator it would keep every instance alive.
        self._read_facts = functools.lru_cache(_MAX_CACHED_ENTITIES)(self._look_facts_up)

    @classmethod
    def open(cls, directory: Directory) -> "FactStore":
        """The store of a facts directory. Raises DataError where there is none."""
        database = _open_tables(directory)
        return cls(database.open_table(_FACTS), database.open_table(_ENTITIES))

    def facts_about(self, entity_id: str) -> list[Fact]:
        """The facts that an entity is the subject or the object of: functional ones first, then by
        predicate and id. Of those where it is the object, at most ``_MAX_FACTS_AS_OBJECT`` (see
        ``choose_facts``)."""
        return list(self._read_facts(entity_id))

    def count_facts(self, entity_id: str) -> dict[tuple[str, bool], int]:
        """How many facts there are in all about an entity, by predicate and whether it is the
        subject."""
        counts: dict[tuple[str, bool], int] = {}
        for column in ("subject", "object"):
            rows = self._facts.search().where(sql_in(column, [entity_id])).select(["predicate"])
            predicates = Counter(rows.to_arrow()["predicate"].to_pylist())
            counts |= {(name, column == "subject"): count for name, count in predicates.items()}
        return counts

    def find_entity(self, entity_id: str) -> RegistryEntity | None:
        """What a registry calls the entity; None where no record names it."""
        return self._read_entity(entity_id)

    def name_of(self, entity_id: str) -> str:
        """The preferred name of an entity; its id where no record names it."""
        entity = self._read_entity(entity_id)
        return entity.names[0] if entity and entity.names else entity_id

    def type_of(self, entity_id: str) -> NodeType | None:
        entity = self._read_entity(entity_id)
        return entity.entity_type if entity else None

    def _read_entity(self, entity_id: str) -> RegistryEntity | None:
        if entity_id not in self._entity_cache:
            self._load_entities([entity_id])
        return self._entity_cache[entity_id]

    def _load_entities(self, entity_ids: Iterable[str]) -> None:
        """Read entities into the cache, those that no record names as None."""
        if len(self._entity_cache) > _MAX_CACHED_NAMES:
            # Cleared as a whole: an order of use would cost more than reading a few again.
            self._entity_cache.clear()
        missing = sorted(set(entity_ids) - self._entity_cache.keys())
        for start in range(0, len(missing), _IDS_PER_QUERY):
            batch = missing[start : start + _IDS_PER_QUERY]
            is_wanted = sql_in("entity_id", batch)
            rows = self._entities.search().where(is_wanted).limit(len(batch)).to_arrow()
            entities = {entity.entity_id: entity for entity in from_table(RegistryEntity, rows)}
            self._entity_cache.update({key: entities.get(key) for key in batch})

    def _look_facts_up(self, entity_id: str) -> tuple[Fact, ...]:
        facts = {}
        for column, limit in (
            ("subject", _MAX_FACTS_AS_SUBJECT),
            ("object", _MAX_FACTS_AS_OBJECT),
        ):
            condition = sql_in(column, [entity_id])
            # One more than the limit shows that there are more.
            rows = self._facts.search().where(condition).limit(limit + 1).to_arrow()
            if rows.num_rows > limit:
                rows = self._read_chosen(condition, limit)
            facts.update({fact.fact_id: fact for fact in from_table(Fact, rows)})
        # Whoever reads the facts asks for the names and types of all their ends.
        ends = {end for fact in facts.values() for end in (fact.subject, fact.object) if end}
        self._load_entities({entity_id, *ends})
        return tuple(sorted(facts.values(), key=_order_by_cardinality))

    def _read_chosen(self, condition: str, limit: int) -> pa.Table:
        columns = ["fact_id", "predicate", "as_of"]
        candidates = self._facts.search().where(condition).select(columns).to_arrow()
        chosen = choose_facts(pl.DataFrame(candidates), limit)
        tables = []
        for start in range(0, len(chosen), _IDS_PER_QUERY):
            is_wanted = sql_in("fact_id", chosen[start : start + _IDS_PER_QUERY])
            search = self._facts.search().where(f"{condition} AND {is_wanted}")
            tables.append(search.limit(limit).to_arrow())
        return pa.concat_tables(tables)


def choose_facts(candidates: pl.DataFrame, limit: int) -> list[str]:
    """The ids of the facts to use of more than can be: of every predicate as many, the newest
    first.

    ``candidates`` has the columns fact_id, predicate and as_of.
    """
    in_order = candidates.sort(["as_of", "fact_id"], descending=[True, False])
    place = pl.int_range(pl.len()).over("predicate").alias("place")
    ranked = in_order.with_columns(place).sort(["place", "predicate"])
    return ranked["fact_id"].head(limit).to_list()


def _order_by_cardinality(fact: Fact) -> tuple[int, str, str]:
    cardinality = FACT_PREDICATES[fact.predicate].cardinality
    return _CARDINALITY_ORDER[cardinality], fact.predicate, fact.fact_id
