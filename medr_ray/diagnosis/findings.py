"""Resolves the names and ids of findings and diseases that a caller uses.

An obsolete id counts as its replacement. Case and the kind of hyphen in a name do not matter. A
preferred name wins over a synonym. A synonym of two terms names neither, and both are suggested. An
unknown name is answered with the nearest names.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.diagnosis.knowledge_base import FindingTerms, KnowledgeBase
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.name_normalization import fold_name

_SUGGESTIONS = 3  # names suggested for an unknown one
_MIN_SIMILARITY = 0.6  # difflib's ratio from which a name is similar
_SHORTLIST = 200  # names compared letter by letter; difflib is slow over all of them
_WORD = re.compile(r"\w+")
_ID = re.compile(r"(?:HP|OMIM|ORPHA|DECIPHER):\d+", re.IGNORECASE)


@dataclass(frozen=True)
class UnresolvedName:
    """A name that could not be resolved, and the names that are most like it."""

    text: str
    nearest: tuple[str, ...]


class NameResolver:
    """Resolves names and ids to the numbers of terms or diseases."""

    def __init__(
        self,
        ids: Mapping[str, int],
        forms: Iterable[tuple[str, int, bool]],
        labels: Sequence[str],
    ) -> None:
        """``forms`` are (name, number, whether the name is preferred). ``labels`` are the names of
        suggestions, by number."""
        self._ids = ids
        self._labels = labels
        preferred: dict[str, set[int]] = defaultdict(set)
        synonyms: dict[str, set[int]] = defaultdict(set)
        for name, number, is_preferred in forms:
            form = fold_name(name)
            synonyms[form].add(number)
            if is_preferred:
                preferred[form].add(number)
        self._numbers_by_form = {
            form: sorted(preferred.get(form) or numbers) for form, numbers in synonyms.items()
        }
        self._forms_by_trigram: dict[str, set[str]] = defaultdict(set)
        for form in self._numbers_by_form:
            for trigram in _trigrams(form):
                self._forms_by_trigram[trigram].add(form)

    def resolve(self, names: Sequence[str]) -> tuple[list[int], list[UnresolvedName]]:
        """(numbers of the names that were resolved, in order and each once; the other names)."""
        numbers: dict[int, None] = {}
        unresolved = []
        for name in names:
            matches = self._match(name)
            if len(matches) == 1:
                numbers[matches[0]] = None
                continue
            nearest = tuple(self._labels[number] for number in matches[:_SUGGESTIONS])
            unresolved.append(UnresolvedName(name, nearest or self._nearest(fold_name(name))))
        return list(numbers), unresolved

    def unambiguous_forms(self) -> Mapping[str, int]:
        """The number of each folded name (``fold_name``) that has only one meaning."""
        return {
            form: numbers[0] for form, numbers in self._numbers_by_form.items() if len(numbers) == 1
        }

    def _match(self, name: str) -> Sequence[int]:
        """The numbers that an id, a name, or a name followed by its id ("Seizure (HP:0001250)") may
        mean."""
        ids = [identifier.upper() for identifier in _ID.findall(name)]
        numbers = {self._ids[identifier] for identifier in ids if identifier in self._ids}
        return sorted(numbers) or self._numbers_by_form.get(fold_name(name), [])

    def _nearest(self, name: str) -> tuple[str, ...]:
        """Labels of the names that are most like a folded name."""
        shared_trigrams: dict[str, int] = defaultdict(int)
        for trigram in _trigrams(name):
            for form in self._forms_by_trigram.get(trigram, ()):
                shared_trigrams[form] += 1

        def dissimilarity(form: str) -> tuple[float, str]:
            # Relative to the lengths, or long names would share the most with every name.
            return -shared_trigrams[form] / (len(form) + len(name)), form

        likely = sorted(shared_trigrams, key=dissimilarity)[:_SHORTLIST]
        containing = [form for form in shared_trigrams if name in form]
        containing.sort(key=lambda form: (len(form), form))
        similar = difflib.get_close_matches(name, likely, _SUGGESTIONS, _MIN_SIMILARITY)
        # First longer names that contain the given one, then misspellings of it.
        nearest = [*containing, *similar][:_SUGGESTIONS] or likely[:_SUGGESTIONS]
        labels = [self._labels[self._numbers_by_form[form][0]] for form in nearest]
        return tuple(dict.fromkeys(labels))


def _trigrams(form: str) -> set[str]:
    """The runs of three letters of a name's words, by which similar names are looked up."""
    padded_words = [f" {word} " for word in _WORD.findall(form)]
    return {word[start : start + 3] for word in padded_words for start in range(len(word) - 2)}


def finding_resolver(hpo: Hpo, terms: FindingTerms) -> NameResolver:
    """Resolves names and exact synonyms of the ontology's findings."""
    forms = []
    for number, term_id in enumerate(terms.ids):
        term = hpo.terms[term_id]
        forms += [(name, number, name == term.name) for name in (term.name, *term.synonyms)]
    return NameResolver(terms.numbers, forms, _labels(terms.ids, terms.names))


def disease_resolver(knowledge_base: KnowledgeBase) -> NameResolver:
    """Resolves names of a knowledge base's diseases; ids of merged records name them too."""
    forms = [(name, number, True) for number, name in enumerate(knowledge_base.names)]
    return NameResolver(
        knowledge_base.numbers, forms, _labels(knowledge_base.ids, knowledge_base.names)
    )


def _labels(ids: Sequence[str], names: Sequence[str]) -> list[str]:
    return [f"{name} ({identifier})" for identifier, name in zip(ids, names, strict=True)]
