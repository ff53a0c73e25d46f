"""What a monograph of LiverTox states of a drug."""

from medr_ray.knowledge.predicates.declaration import DRUG, VALUE, Predicate

PREDICATES = (
    Predicate(
        name="liver_injury_likelihood",
        subject_type=DRUG,
        object_type=VALUE,
        phrase="LiverTox likelihood score",
        clause="whose LiverTox likelihood score is {other}",
        record_rank=34,
        expansion_rank=34,
    ),
    Predicate(
        name="first_us_approval_year",
        subject_type=DRUG,
        object_type=VALUE,
        phrase="year of first approval in the United States",
        clause="whose year of first approval in the United States is {other}",
        record_rank=35,
        expansion_rank=35,
    ),
    Predicate(
        name="us_approval_year",
        subject_type=DRUG,
        object_type=VALUE,
        phrase="year of approval in the United States as LiverTox states it",
        clause="which, according to LiverTox, was approved in the United States in {other}",
        record_rank=36,
        expansion_rank=36,
    ),
)
