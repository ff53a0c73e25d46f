"""A question names a rare entity where the index has hardly a document for a word of its name."""

from dataclasses import replace

import pytest
from support.questions import make_question

from medr_ray.core.records import QuestionStep
from medr_ray.retrieval.word_rarity import WordRarity
from medr_ray.trajectories.rarity import is_rare, list_named_entities

# Words in more than 10 of 10,000 documents; "krabbe" and numbers of trials are in fewer.
RARITY = WordRarity(10_000, {"breast": 400, "cancer": 2000, "disease": 5000, "aspirin": 11}).weight


@pytest.mark.parametrize(
    ("names", "rare"),
    [
        (["Krabbe disease"], True),
        (["NCT05814159"], True),
        (["Breast Cancer"], False),
        (["aspirin"], False),
        (["cancer of the breast"], False),
        (["aspirin", "tafamidis"], True),
        ([""], False),
        ([], False),
    ],
)
def test_a_name_is_as_rare_as_its_rarest_word(names: list[str], rare: bool) -> None:
    assert is_rare(names, RARITY) is rare


def test_only_what_the_question_names_counts_and_no_date() -> None:
    question = make_question(7)
    date = QuestionStep("named", (), "VALUE:date/2019-07-01", "value", "1 July 2019")
    assert list_named_entities(replace(question, steps=(*question.steps, date))) == ["G7"]
