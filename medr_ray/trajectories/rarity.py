"""Decides whether a question names a rare entity, by the document frequency of its name's words.

A name is as rare as its rarest word. It is rare when at most one in a thousand documents of the
index has that word, which is what the index counts as no common word (``retrieval.word_rarity``):
of 100,000 documents in at most 100. A name of common words alone ("breast cancer") is not rare. A
number of a registry ("NCT05814159") is a name as well. The entities stage counts citations and
knows concepts only, of which the names of trials, patents and companies are none.
"""

from collections.abc import Iterable

from medr_ray.agent.tool_features import Rarity
from medr_ray.core.records import Question
from medr_ray.core.run import Directory
from medr_ray.questions.plans import NAMED
from medr_ray.retrieval.index import open_word_rarity
from medr_ray.retrieval.snippets import is_stop_word, split_words

_VALUE = "value"  # the type of the dates, places and scores that a question names


def is_rare(names: Iterable[str], rarity: Rarity) -> bool:
    """Whether one of the names is rare; ``rarity`` is that of the index (``Toolbox.rarity``)."""
    # A text that is no word has the weight of every word that is not common.
    highest = rarity("")
    words = (word for name in names for word in split_words(name))
    return any(rarity(word) >= highest for word in words if not is_stop_word(word))


def list_named_entities(question: Question) -> list[str]:
    """The names that a question gives of the entities it starts from; dates and other values that
    it names are none."""
    return [
        step.name
        for step in question.steps
        if step.kind == NAMED and step.value_type != _VALUE and step.name
    ]


def find_rare_questions(questions: Iterable[Question], index: Directory) -> frozenset[str]:
    """The ids of the tasks whose question names a rare entity, by the index of a run."""
    rarity = open_word_rarity(index).weight
    return frozenset(
        question.task.task_id
        for question in questions
        if is_rare(list_named_entities(question), rarity)
    )
