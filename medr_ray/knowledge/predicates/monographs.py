"""What a monograph of LiverTox states of a drug."""

from medr_ray.knowledge.predicates.declaration import DRUG, VALUE, ChineseWording, Predicate

PREDICATES = (
    Predicate(
        name="liver_injury_likelihood",
        subject_type=DRUG,
        object_type=VALUE,
        phrase="LiverTox likelihood score",
        sentence="The LiverTox likelihood score of {subject} is {object}.",
        clause="whose LiverTox likelihood score is {other}",
        chinese=ChineseWording(
            phrase="{known}的LiverTox肝损伤可能性评分",
            clause="其LiverTox肝损伤可能性评分为{other}",
        ),
        record_rank=34,
        expansion_rank=34,
    ),
    Predicate(
        name="first_us_approval_year",
        subject_type=DRUG,
        object_type=VALUE,
        phrase="year of first approval in the United States",
        sentence="The year of first approval in the United States of {subject} is {object}.",
        clause="whose year of first approval in the United States is {other}",
        chinese=ChineseWording(
            phrase="{known}在美国首次获批的年份",
            clause="其在美国首次获批的年份为{other}",
        ),
        record_rank=35,
        expansion_rank=35,
    ),
    Predicate(
        name="us_approval_year",
        subject_type=DRUG,
        object_type=VALUE,
        phrase="year of approval in the United States as LiverTox states it",
        sentence="According to LiverTox, {subject} was approved in the United States in {object}.",
        clause="which, according to LiverTox, was approved in the United States in {other}",
        chinese=ChineseWording(
            phrase="LiverTox所载{known}在美国获批的年份",
            clause="据LiverTox其在美国获批的年份为{other}",
        ),
        record_rank=36,
        expansion_rank=36,
    ),
)
