"""What the bibliographic record of a paper states: journal, year, and the trials it names."""

from medr_ray.knowledge.predicates.declaration import (
    JOURNAL,
    PAPER,
    TRIAL,
    VALUE,
    Predicate,
)

PREDICATES = (
    Predicate(
        name="published_in",
        subject_type=PAPER,
        object_type=JOURNAL,
        phrase="journal",
        inverse_phrase="paper published",
        inverse_preposition="in",
        clause="that was published in {other}",
        inverse_clause="that published {other}",
        record_rank=31,
        expansion_rank=31,
    ),
    Predicate(
        name="publication_year",
        subject_type=PAPER,
        object_type=VALUE,
        phrase="year of publication",
        clause="whose year of publication is {other}",
        record_rank=32,
        expansion_rank=32,
    ),
    Predicate(
        name="registered_as",
        subject_type=PAPER,
        object_type=TRIAL,
        phrase="trial named",
        inverse_phrase="paper that names",
        inverse_preposition="",
        clause="that names {other}",
        inverse_clause="that is named in {other}",
        record_rank=33,
        expansion_rank=33,
    ),
)
