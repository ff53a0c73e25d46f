"""What registries state, record by record: one file format a module, facts out.

Guarantees: every fact has the record, the field and the value as printed there as its evidence. A
record that cannot be used is listed with its file, its place and the reason, and hides no other; a
bad field is listed too and costs its record no other fact. A file that breaks off gives what came
before. Equal files give equal facts with equal ids.
"""

from medr_ray.knowledge.registries.fact_predicates import FACT_PREDICATES, FactPredicate
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import UnusableRecord, UnusableRecords

__all__ = [
    "FACT_PREDICATES",
    "FactCollector",
    "FactPredicate",
    "RecordFacts",
    "UnusableRecord",
    "UnusableRecords",
]
