"""The frames of thoughts: what is left of a thought's wording without what it is about.

A word is masked when it occurs in the question, in a query of the dialogue or in a response up to
and including the thought's own reply, or has a figure in it, or is written with a capital letter
inside a sentence. Neighbouring masked words are one gap. Little words ("the", "of", "is") are never
masked: they make the wording. Of Chinese, every run of two characters and more that occurs in those
texts is masked, the longest first.

Two thoughts have the same frame when the same words stand around their gaps, whatever the signs
between them. Sentences have frames
of their own, so that a sentence that opens every thought is seen however the thoughts go on.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from medr_ray.agent.state import query_text
from medr_ray.agent.transcript import read_turns
from medr_ray.core.records import Trajectory
from medr_ray.knowledge.name_normalization import normalise

GAP = "_"
_LITTLE_WORDS = frozenset(
    (
        *("the", "a", "an", "and", "or", "of", "in", "on", "at", "by", "for", "from", "with"),
        *("to", "as", "is", "are", "was", "were", "be", "been", "has", "have", "had", "that"),
        *("this", "these", "those", "it", "its", "which", "what", "who", "when", "where", "how"),
        *("do", "does", "did", "can", "i", "not", "no", "now", "so", "but", "if", "than", "then"),
        *("there", "first", "last", "one", "name", "names", "both", "same", "other", "another"),
    )
)
_TOKEN = re.compile(
    r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+(?:[-'./@&+:][^\W\u3400-\u9fff]+)*|[^\w\s]"
)
_SENTENCE_ENDS = frozenset(".!?")
_HAN = re.compile(r"[\u3400-\u9fff]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_LONGEST_RUN = 12  # Chinese characters; a longer run is masked in pieces
_MASKED_RUN = 2  # Chinese characters that a masked run has at least


@dataclass(frozen=True)
class FrameCounts:
    """How many thoughts, and how many sentences of thoughts, have each frame."""

    thoughts: Counter[str]
    sentences: Counter[str]


def count_frames(trajectory: Trajectory) -> FrameCounts:
    """The frames of one dialogue."""
    counts = FrameCounts(Counter(), Counter())
    for thought, context in _list_thoughts(trajectory):
        folded_context = _fold_context(context)
        counts.thoughts[_frame_text(thought, folded_context)] += 1
        sentences = filter(str.strip, _SENTENCE_END.split(thought))
        counts.sentences.update(_frame_text(text, folded_context) for text in sentences)
    return counts


def _list_thoughts(trajectory: Trajectory) -> Iterator[tuple[str, str]]:
    """(thought, what the dialogue is about up to its calls) of each reply that has a thought."""
    texts = [trajectory.messages[1].content]
    for turn in read_turns(trajectory):
        texts += [query_text(observation) for observation in turn.observations]
        if turn.answer:
            texts.append(turn.answer)
        if turn.thought:
            yield turn.thought, "\n".join(texts)
        texts += [observation.text for observation in turn.observations]


def frame_text(text: str, context: str) -> str:
    """The frame of a text: its words in lower case with a gap for what is in the context."""
    return _frame_text(text, _fold_context(context))


def _fold_context(context: str) -> tuple[str, frozenset[str]]:
    """A context in the form that is compared, and its words."""
    folded_context = normalise(context)
    return folded_context, frozenset(map(str.casefold, _TOKEN.findall(folded_context)))


def _frame_text(text: str, context: tuple[str, frozenset[str]]) -> str:
    folded_context, context_words = context
    parts: list[str] = []
    is_start = True  # of a sentence
    for token in _TOKEN.findall(text):
        is_sign = not any(map(str.isalnum, token))
        if _HAN.match(token):
            parts += _mask_run(token, folded_context)
        elif not is_sign:
            parts.append(GAP if _is_masked(token, context_words, is_start) else token.casefold())
        is_start = token in _SENTENCE_ENDS
    kept = [
        part
        for place, part in enumerate(parts)
        if not (part == GAP and place and parts[place - 1] == GAP)
    ]
    return " ".join(kept)


def _is_masked(token: str, context_words: frozenset[str], is_start: bool) -> bool:
    word = normalise(token)
    if word in _LITTLE_WORDS:
        return False
    has_figure = any(character.isdigit() for character in token)
    is_name = not is_start and token[0].isupper()
    return has_figure or is_name or word in context_words


def _mask_run(run: str, context: str) -> Iterator[str]:
    """A run of Chinese characters with gaps for what stands in the context."""
    position = 0
    while position < len(run):
        longest = min(len(run) - position, _LONGEST_RUN)
        lengths = range(longest, _MASKED_RUN - 1, -1)
        length = next((n for n in lengths if run[position : position + n] in context), 0)
        yield GAP if length else run[position]
        position += length or 1
