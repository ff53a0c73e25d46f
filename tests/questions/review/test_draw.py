"""The draw: what it depends on, and on nothing else."""

import random

from hypothesis import given
from hypothesis import strategies as st
from support.reviewed_run import make_questions

from medr_ray.questions.review.draw import Draw, draw_questions

QUESTIONS = make_questions(80)


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 100),
    shuffle=st.randoms(use_true_random=False),
    split=st.sampled_from([None, "train", "heldout"]),
)
def test_a_draw_does_not_depend_on_the_order_on_disk(
    seed: int, size: int, shuffle: random.Random, split: str | None
) -> None:
    shuffled = list(QUESTIONS)
    shuffle.shuffle(shuffled)
    draw = Draw(seed, size, split)  # type: ignore[arg-type]
    drawn = draw_questions(QUESTIONS, draw)
    assert draw_questions(shuffled, draw) == drawn
    eligible = [question for question in QUESTIONS if split in (None, question.split)]
    assert len({question.task.task_id for question in drawn}) == min(size, len(eligible))
    assert all(question in eligible for question in drawn)
    # A larger draw begins with the smaller one, and questions added later only push in between.
    assert draw_questions(shuffled, Draw(seed, size + 7, split))[:size] == drawn  # type: ignore[arg-type]
    of_half = draw_questions(QUESTIONS[:40], Draw(seed, 100))
    of_all = draw_questions(QUESTIONS, Draw(seed, 100))
    assert [question for question in of_all if question in QUESTIONS[:40]] == of_half


def test_every_question_is_drawn_about_equally_often() -> None:
    drawn = {question.task.task_id: 0 for question in QUESTIONS}
    for seed in range(400):
        for question in draw_questions(QUESTIONS, Draw(seed, 20)):
            drawn[question.task.task_id] += 1
    # 400 draws of a quarter: 100 expected, standard deviation 8.7; five of them either way.
    assert min(drawn.values()) > 56
    assert max(drawn.values()) < 144
