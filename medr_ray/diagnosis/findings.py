"""What a caller calls a finding or a disease, and which one that is.

What holds: an id counts as it stands, an old one as the current; a name counts in any case and with
any kind of hyphen; a preferred name wins over a synonym, and a synonym of two terms names neither,
but both are said. What is not known is answered with the nearest names, and never guessed.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.diagnosis.knowledge_base import KnowledgeBase, Terms
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.name_normalization import normalise

_NEAREST, _SIMILAR = 3, 0.6
_SHORTLIST = 200  # names compared letter by letter
_WORD = re.compile(r"\w+")
_ID = re.compile(r"(?:HP|OMIM|ORPHA|DECIPHER):\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Unknown:
    """What could not be understood, and the names that are most like it."""

    asked: str
    nearest: tuple[str, ...]


class Names:
    """Numbers by name and id, and how each number is called."""

    def __init__(
        self, ids: Mapping[str, int], forms: Iterable[tuple[str, int, bool]], called: Sequence[str]
    ) -> None:
        """``forms`` are (name, number, whether it is the preferred one)."""
        self._ids, self._called = ids, called
        claims: dict[str, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
        for name, number, preferred in forms:
            claims[normalise(name)][0 if preferred else 1].add(number)
        self._numbers = {
            form: sorted(preferred or others) for form, (preferred, others) in claims.items()
        }
        self._with: dict[str, set[str]] = defaultdict(set)
        for form in self._numbers:
            for piece in _pieces(form):
                self._with[piece].add(form)

    def resolve(self, asked: Sequence[str]) -> tuple[list[int], list[Unknown]]:
        """The numbers of those that are known, in order and each once, and the others."""
        numbers: dict[int, None] = {}
        unknown = []
        for one in asked:
            found = self._find(one)
            if len(found) == 1:
                numbers[found[0]] = None
            else:
                nearest = tuple(
                    self._called[number] for number in found[:_NEAREST]
                ) or self._nearest(normalise(one))
                unknown.append(Unknown(one, nearest))
        return list(numbers), unknown

    def forms(self) -> Mapping[str, int]:
        """Every name of exactly one thing, normalised."""
        return {form: numbers[0] for form, numbers in self._numbers.items() if len(numbers) == 1}

    def _find(self, asked: str) -> Sequence[int]:
        """Numbers of what an id or a name, or a name with its id behind it, may mean."""
        by_id = {self._ids[one.upper()] for one in _ID.findall(asked) if one.upper() in self._ids}
        return sorted(by_id) or self._numbers.get(normalise(asked), [])

    def _nearest(self, asked: str) -> tuple[str, ...]:
        shared: dict[str, int] = defaultdict(int)
        for piece in _pieces(asked):
            for form in self._with.get(piece, ()):
                shared[form] += 1
        likely = sorted(shared, key=lambda form: (-shared[form] / (len(form) + len(asked)), form))[
            :_SHORTLIST
        ]
        within = sorted(
            (form for form in shared if asked in form), key=lambda form: (len(form), form)
        )
        near = [*within, *difflib.get_close_matches(asked, likely, _NEAREST, _SIMILAR)][
            :_NEAREST
        ] or likely[:_NEAREST]
        return tuple(dict.fromkeys(self._called[self._numbers[form][0]] for form in near))


def _pieces(form: str) -> set[str]:
    """The runs of three letters of a name's words, by which similar names are looked up."""
    padded = [f" {word} " for word in _WORD.findall(form)]
    return {word[start : start + 3] for word in padded for start in range(len(word) - 2)}


def finding_names(hpo: Hpo, terms: Terms) -> Names:
    """Names and exact synonyms of the ontology's findings."""
    forms = [
        (name, number, name == hpo.terms[one].name)
        for number, one in enumerate(terms.ids)
        for name in (hpo.terms[one].name, *hpo.terms[one].synonyms)
    ]
    return Names(
        terms.numbers,
        forms,
        [f"{name} ({one})" for one, name in zip(terms.ids, terms.names, strict=True)],
    )


def disease_names(base: KnowledgeBase) -> Names:
    """Names of the diseases of a knowledge base; ids of merged records name them too."""
    return Names(
        base.numbers,
        [(name, number, True) for number, name in enumerate(base.names)],
        [f"{name} ({one})" for one, name in zip(base.ids, base.names, strict=True)],
    )
