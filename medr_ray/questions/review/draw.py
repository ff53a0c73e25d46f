"""The sample of questions that readers are given."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from medr_ray.core.records import Question, Split, canonical_json

# Hexadecimal digits of the hash of a question's content: 64 bits, so that two texts of one
# question never share it by chance.
_CONTENT_DIGITS = 16


@dataclass(frozen=True)
class Draw:
    """Which sample: ``size`` questions by ``seed``, of one ``split`` or, where it is None, of train
    and held-out together."""

    seed: int
    size: int
    split: Split | None = None

    def describe(self) -> str:
        """The draw in words: "seed 7, 50 of all"."""
        return f"seed {self.seed}, {self.size} of {self.split or 'all'}"


def draw_questions(questions: Iterable[Question], draw: Draw) -> list[Question]:
    """The drawn questions, in the order in which they are read.

    The order of ``questions`` does not matter, and a larger draw of the same seed begins with the
    smaller one: who stops early has read a random sample too.
    """
    eligible = [question for question in questions if draw.split in (None, question.split)]
    eligible.sort(key=lambda question: _compute_rank(draw.seed, question.task.task_id))
    return eligible[: draw.size]


def hash_content(question: Question) -> str:
    """What a verdict is about: a hash of the text and the answer."""
    content = canonical_json((question.task.text, question.task.answer))
    return hashlib.sha256(content.encode()).hexdigest()[:_CONTENT_DIGITS]


def _compute_rank(seed: int, task_id: str) -> tuple[str, str]:
    # The id behind the hash keeps the order total.
    return hashlib.sha256(f"{seed}:{task_id}".encode()).hexdigest(), task_id
