"""Which substance an entry of the embedded drug dictionary is.

The dictionary joins MeSH, DrugBank and lists of trade names. Three things in it are mended here:

- Its DrugBank number is that of the last row of DrugBank of which a name led to the entry, so that
  "propranolol" has the number of dexpropranolol, and "estrogen" that of estradiol cypionate. What
  DrugBank's open vocabulary (CC0) says otherwise is in ``drug_corrections.json``, which
  ``find_corrections`` makes: the number is DrugBank's for that name, or none.
- Names that led there are of other substances ("sultopride" beside "amisulpride"). They become
  entries of their own, unless they name a salt or an ester of the entry.
- A salt, an ester or a biological product with its four letters that has no DrugBank number of its
  own ("quetiapine fumarate", "erenumab-aooe") is its active moiety (see ``registries.substances``).
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from medr_ray.core.prompts import read_package_json
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.registries.substances import (
    fold_substance_name,
    list_moiety_names,
    moiety,
)
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry

_CORRECTIONS = "drug_corrections.json"
_NUMBER = "drugbank_id"  # the dictionary's field
# An entry with a name that DrugBank does not print has its number when so many of its other names
# are that number's: one such name may have led to a member of a class.
_MIN_COMMON_NAMES = 2
Records = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Corrections:
    """``numbers`` are the DrugBank numbers of entries for which the dictionary has others, by the
    entry's name in the dictionary; "" where none is sure. ``names`` are the names that entries have
    and DrugBank gives to another number, with that number and its preferred name."""

    numbers: Mapping[str, str]
    names: Mapping[str, tuple[str, str]]


@functools.cache
def load_corrections() -> Corrections:
    """The corrections inside the package."""
    content = read_package_json("medr_ray.knowledge", _CORRECTIONS)
    numbers = cast(dict[str, str], content["numbers"])
    names = {name: (number, title) for name, (number, title) in content["names"].items()}
    return Corrections(numbers, names)


def correct_entries(
    records: Records, canonicals: Mapping[str, list[str]], corrections: Corrections
) -> tuple[Records, dict[str, list[str]]]:
    """(records by canonical name, canonical names by variant) of the dictionary, mended."""
    numbers = {name: str(record.get(_NUMBER, "")) for name, record in records.items()}
    numbers |= corrections.numbers
    # The entry that had the number itself comes before those that get it.
    ordered = sorted(numbers, key=lambda name: (_NUMBER not in records[name], len(name), name))
    owner_by_number: dict[str, str] = {}
    for name in ordered:
        if numbers[name]:
            owner_by_number.setdefault(numbers[name], name)
    mended = {name: _set_number(record, numbers[name]) for name, record in records.items()}
    owners = {variant: list(names) for variant, names in canonicals.items()}
    for variant, (number, title) in corrections.names.items():
        owner = owner_by_number.setdefault(number, title.lower())
        mended.setdefault(owner, {_NUMBER: number, "name": title})
        owners[variant] = [owner]
    united = {
        name: owner
        for name, number in numbers.items()
        if number and (owner := owner_by_number[number]) != name
    }
    return _unite_entries(mended, owners, united)


def _set_number(record: Mapping[str, Any], number: str) -> dict[str, Any]:
    """A copy of the record with this number, or with none."""
    others = {field: value for field, value in record.items() if field != _NUMBER}
    return {**others, _NUMBER: number} if number else others


def _unite_entries(
    records: Records, owners: dict[str, list[str]], united: Mapping[str, str]
) -> tuple[Records, dict[str, list[str]]]:
    """The entries without those of ``united``, which are others, and without those that are a salt,
    an ester or a product of another. Their names are the other's."""
    owner_by_name: dict[str, str] = {}
    for variant, names in owners.items():
        owner_by_name.setdefault(fold_name(variant), names[0])
    owner_by_name |= {fold_name(name): name for name in records}
    bases = dict(united)
    for name, record in records.items():
        base = "" if _NUMBER in record else _find_base(name, owner_by_name)
        if base:
            bases[name] = base
    kept = {name: record for name, record in records.items() if name not in bases}
    followed = {
        variant: list(dict.fromkeys(_follow(name, bases) for name in names))
        for variant, names in owners.items()
    }
    followed |= {name: [_follow(name, bases)] for name in bases}
    return kept, followed


def _find_base(name: str, owner_by_name: Mapping[str, str]) -> str:
    """The entry that an entry of this name is a salt, an ester or a product of; "" for none."""
    for step in list_moiety_names(name)[1:]:
        owner = owner_by_name.get(step, name)
        if owner != name:
            return owner
    return ""


def _follow(name: str, bases: Mapping[str, str]) -> str:
    """The entry that is left of a salt of a salt."""
    while name in bases:
        name = bases[name]
    return name


# --- making the corrections -----------------------------------------------------------


def find_corrections(
    records: Records, canonicals: Mapping[str, list[str]], drugbank: Iterable[VocabularyEntry]
) -> Corrections:
    """What DrugBank's open vocabulary says otherwise than the dictionary. ``records`` and
    ``canonicals`` are the dictionary's, as in ``correct_entries``."""
    numbering = _Numbering(drugbank)
    variants: dict[str, set[str]] = defaultdict(set)
    for variant, names in canonicals.items():
        for name in names:
            variants[name].add(variant)
    numbers: dict[str, str] = {}
    for name, record in records.items():
        if _NUMBER in record:
            number = numbering.choose_number(name, record, variants[name])
            if number != record[_NUMBER]:
                numbers[name] = number
    owned = {
        name: numbers.get(name, str(record.get(_NUMBER, ""))) for name, record in records.items()
    }
    # What has no number may have DrugBank's name of one, which another entry may have too: the
    # dictionary has "cefalexin" beside "cephalexin". Several such entries are kinds of one thing,
    # as the botulinum toxins A are. A salt follows its drug.
    candidates: dict[str, list[str]] = defaultdict(list)
    for name in records:
        number = numbering.find_number(name)
        if number and not owned[name] and len(list_moiety_names(name)) == 1:
            candidates[number].append(name)
    for number, names_of_it in candidates.items():
        if len(names_of_it) == 1:
            numbers[names_of_it[0]] = owned[names_of_it[0]] = number
    other_names = {
        variant: (number, numbering.titles[number])
        for name, number_of_entry in owned.items()
        for variant, number in numbering.find_others(
            name, number_of_entry, str(records[name].get(_NUMBER, "")), variants[name]
        )
    }
    return Corrections(dict(sorted(numbers.items())), dict(sorted(other_names.items())))


class _Numbering:
    """DrugBank's numbers by name. ``titles`` are the preferred names by number."""

    def __init__(self, drugbank: Iterable[VocabularyEntry]) -> None:
        self.titles: dict[str, str] = {}
        self._names: dict[str, set[str]] = {}
        by_title: dict[str, set[str]] = defaultdict(set)
        by_name: dict[str, set[str]] = defaultdict(set)
        for entry in drugbank:
            number = entry.concept_id.partition(":")[2]
            self.titles[number] = entry.name
            self._names[number] = set(map(fold_name, (entry.name, *entry.synonyms)))
            by_title[fold_name(entry.name)].add(number)
            for name in self._names[number]:
                by_name[name].add(number)
        self._by_title = {name: min(ids) for name, ids in by_title.items() if len(ids) == 1}
        self._by_name = {name: min(ids) for name, ids in by_name.items() if len(ids) == 1}

    def find_number(self, name: str) -> str:
        """The only number with that preferred name, else with that name; "" for none."""
        folded = fold_name(name)
        return self._by_title.get(folded) or self._by_name.get(folded, "")

    def choose_number(self, name: str, record: Mapping[str, Any], variants: set[str]) -> str:
        """The number of an entry of the dictionary; "" where none is sure."""
        number = str(record[_NUMBER])
        names = {fold_name(name), fold_name(record.get("name", name))}
        if number not in self.titles:
            return number  # of a newer DrugBank
        if fold_name(self.titles[number]) in names:
            return number
        stated = {self.find_number(form) for form in sorted(names)} - {""}
        if stated:
            return number if number in stated else min(stated)
        if names & self._names[number]:
            return number
        common = set(map(fold_name, variants)) & self._names[number]
        is_singular = any(form.removesuffix("s") in self._names[number] for form in names)
        is_combination = "," in name and " and " in name
        if is_combination or (len(common) < _MIN_COMMON_NAMES and not is_singular):
            return ""
        return number

    def find_others(
        self, name: str, number: str, printed: str, variants: set[str]
    ) -> Iterator[tuple[str, str]]:
        """(name, its number) of an entry's names that are those of another number than its own:
        preferred names, and all names of the number that the dictionary prints wrongly.

        A salt or an ester stays with the entry. An entry without a number is the only substance
        that its names number, or a class.
        """
        others = {}
        own_names = self._names.get(number, set()) | {fold_name(name)}
        for variant in sorted(variants):
            folded = fold_name(variant)
            other = self._by_title.get(fold_substance_name(variant), "")
            other = self._by_title.get(folded, other)
            if not other and self._by_name.get(folded) == printed != number:
                other = printed
            if other in ("", number) or "anhydrous" in folded:
                continue
            is_salt = moiety(name) in (moiety(variant), moiety(self.titles[other]))
            if not is_salt and (other != printed or folded not in own_names):
                others[variant] = other
        others.pop(name, None)
        if number or len(set(others.values())) > 1:
            yield from others.items()
