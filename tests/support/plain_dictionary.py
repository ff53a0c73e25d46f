"""The peer of entity recognition: a plain dictionary. Every form of a lexicon in any case, as whole
words, and of overlapping ones the leftmost, of those the longest. No form is left out, none needs
its capitals."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from medr_ray.knowledge.lexicon import Concept


class PlainMention(NamedTuple):
    start: int
    end: int
    concept_id: str


_RUN = re.compile(r"[^\W_]+")  # letters and digits; a whole word is made of whole runs


class PlainDictionary:
    """Finds forms in the given texts by Aho and Corasick's automaton (``ahocorasick_rs``). A form
    with a run of letters that no text has cannot be found, so it is not loaded: that makes the
    building quick and changes no result."""

    def __init__(self, concepts: Sequence[Concept], texts: Iterable[str]) -> None:
        from ahocorasick_rs import AhoCorasick, Implementation

        runs = {run for text in texts for run in _RUN.findall(_lower(text))}
        lowered = (
            (_lower(form), concept.concept_id)
            for concept in concepts
            for form in concept.forms
            if form
        )
        owners = {
            form: concept_id for form, concept_id in lowered if runs.issuperset(_RUN.findall(form))
        }
        self._concept_ids = list(owners.values())
        self._machine = AhoCorasick(
            list(owners), implementation=Implementation.ContiguousNFA, store_patterns=False
        )

    def find(self, text: str) -> list[PlainMention]:
        matches = self._machine.find_matches_as_indexes(_lower(text), overlapping=True)
        whole = [
            (start, -end, form) for form, start, end in matches if _whole_words(text, start, end)
        ]
        mentions, free = [], 0
        for start, end, form in sorted(whole):
            if start >= free:
                free = -end
                mentions.append(PlainMention(start, free, self._concept_ids[form]))
        return mentions


def _lower(text: str) -> str:
    """Lower case of the same length, so that offsets stay."""
    low = text.lower()
    return (
        low
        if len(low) == len(text)
        else "".join(
            character.lower() if len(character.lower()) == 1 else character for character in text
        )
    )


def _whole_words(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isalnum() and text[start].isalnum()) and not (
        after.isalnum() and text[end - 1].isalnum()
    )
