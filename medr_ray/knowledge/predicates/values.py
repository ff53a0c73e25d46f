"""Mode of inheritance and age of onset: a disease and a value."""

from medr_ray.knowledge.predicates.declaration import DISEASE, VALUE, Predicate

PREDICATES = (
    Predicate(
        name="has_inheritance",
        subject_type=DISEASE,
        object_type=VALUE,
        phrase="mode of inheritance",
        clause="whose mode of inheritance is {other}",
        record_rank=0,
        expansion_rank=0,
    ),
    Predicate(
        name="has_onset",
        subject_type=DISEASE,
        object_type=VALUE,
        phrase="age of onset",
        clause="whose age of onset is {other}",
        record_rank=1,
        expansion_rank=1,
    ),
)
