"""Which entries of several vocabularies are one concept.

What holds: the vocabulary that comes first gives id and preferred name, and all lend their forms.
Entries of one vocabulary stay apart (unless an earlier one already calls their ids the same), and
so do the concepts of HPO, whose records stand on their ids. Two entries are the same

- when one refers to the other's id, or both to the same id, and no other entry of that vocabulary
  does, or none that also has its name; an entry that refers to several records of one authority is
  broader than each;
- else when they have the same type and preferred name (a disease also that of a phenotype, or the
  singular; a gene product that of a drug, for some are);
- else when its synonyms name exactly one other that agrees, or whose vocabulary gives no synonyms
  to agree by, and that is no narrower thing ("dilated cardiomyopathy 1A").

The order of a vocabulary's entries does not matter. An id made from a name (``MESH:<heading>``,
``DRUG:<name>``) gives way to an official one.
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from medr_ray.core.records import EntityType
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE
from medr_ray.knowledge.vocabulary_reading import Entry

# Added to the rank of a claim that rests on a synonym: preferred names come first.
SYNONYM = 1 << 16
_SHARED = -1  # in an index: more than one concept
_AUTHORITIES = (
    "OMIM",
    "ORPHA",
    "DECIPHER",
    "HP",
    "MESH",
    "MONDO",
    "DRUGBANK",
    "GENE",
    "HGNC",
    "NCBIGENE",
)
_WORD = re.compile(r"\w+")
_SUBTYPE = re.compile(r"(\btype .*|[\s,-](\d+[a-z]?|[ivx]+[a-z]?))$")


@dataclass(slots=True)
class Draft:
    """A concept while its forms are still contested.

    ``members`` has one bit per vocabulary it is in; ``claims`` are its forms with the rank of the
    claim, smallest first (the vocabulary's, plus ``SYNONYM`` for a synonym); ``names`` are its
    preferred names in all vocabularies, as forms; ``symbols`` the forms that are exact; ``xrefs``
    its other ids. What its specialty is decided by: ``codes``, ``findings``, or ``specialty``
    itself. ``made_up`` says that the id is only a name.
    """

    concept_id: str
    name: str
    entity_type: EntityType
    members: int
    claims: dict[str, int]
    names: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    findings: Counter[str] | None = None
    specialty: str = ""
    made_up: bool = False

    @classmethod
    def of(cls, entry: Entry, rank: int, member: int) -> "Draft":
        """The draft of one entry alone."""
        name = entry.name if entry.name in entry.symbols else normalise(entry.name)
        claims = dict.fromkeys((*map(normalise, entry.synonyms), *entry.symbols), SYNONYM + rank)
        claims[name] = rank
        return cls(
            entry.concept_id,
            entry.name,
            entry.entity_type,
            member,
            claims,
            (name,),
            entry.symbols,
            _identities(entry),
            entry.codes,
            specialty=entry.specialty,
        )

    def absorb(self, other: "Draft") -> None:
        """Take over all the other has; an id that is only a name gives way."""
        for form, rank in other.claims.items():
            if rank < self.claims.get(form, rank + 1):
                self.claims[form] = rank
        others = (*self.xrefs, *(() if other.made_up else (other.concept_id,)), *other.xrefs)
        if self._gives_way(other):
            self.concept_id, self.made_up = other.concept_id, False
        self.members |= other.members
        self.names = tuple(dict.fromkeys((*self.names, *other.names)))
        self.symbols = tuple(dict.fromkeys((*self.symbols, *other.symbols)))
        self.xrefs = tuple(xref for xref in dict.fromkeys(others) if xref != self.concept_id)
        self.codes += other.codes
        self.specialty = self.specialty or other.specialty

    def _gives_way(self, other: "Draft") -> bool:
        """MeSH's own number for a heading, any number for a drug that has none."""
        official = "" if self.concept_id.startswith("DRUG:") else "MESH:"
        return self.made_up and not other.made_up and other.concept_id.startswith(official)


def _identities(entry: Entry) -> tuple[str, ...]:
    """The references that say what an entry is: alone of their authority, or former ids of its
    own."""
    if len(entry.xrefs) < 2:
        return entry.xrefs
    counts = Counter(map(_authority, entry.xrefs))
    counts[_authority(entry.concept_id)] = 1
    return tuple(xref for xref in entry.xrefs if counts[_authority(xref)] == 1)


def _authority(concept_id: str) -> str:
    return concept_id.partition(":")[0]


def _authority_order(concept_id: str) -> tuple[int, str]:
    """Sort key of references: those to the most specific records first."""
    authority = _authority(concept_id)
    return _AUTHORITIES.index(authority) if authority in _AUTHORITIES else len(
        _AUTHORITIES
    ), concept_id


def is_narrower(name: str, broader: Iterable[str]) -> bool:
    """A numbered subtype, or all the words of the broader name and more."""
    words = set(_WORD.findall(name))
    return bool(_SUBTYPE.search(name)) or any(
        set(_WORD.findall(name_words)) < words for name_words in broader
    )


class Registry:
    """The concepts so far, and how to find the one that an entry is."""

    def __init__(self, drafts: Iterable[Draft]) -> None:
        self._drafts: list[Draft | None] = []
        self._moved: dict[int, int] = {}  # a concept that became part of another
        self._ids: dict[str, int] = {}
        self._references: dict[str, int] = {}
        self._names: dict[str, dict[str, int]] = defaultdict(dict)
        for _, vocabulary in itertools.groupby(
            drafts, key=lambda draft: min(draft.claims.values())
        ):
            placed = [(draft, self._add(draft)) for draft in vocabulary]
            self._index(placed)
            self._ids.update((xref, number) for draft, number in placed for xref in draft.xrefs)

    def drafts(self) -> Iterator[Draft]:
        """The concepts, those of earlier vocabularies first."""
        return (draft for draft in self._drafts if draft is not None)

    def fold(self, entries: Sequence[Entry], rank: int, member: int) -> int:
        """Add a vocabulary; returns how many of its entries were concepts already known."""
        drafts = [Draft.of(entry, rank, member) for entry in entries]
        candidates: dict[int, list[int]] = {}
        rules: tuple[Callable[[Draft], list[int]], ...] = (
            self._by_reference,
            self._by_name,
            self._by_synonyms,
        )
        for rule in rules:
            proposals = {
                number: targets
                for number, draft in enumerate(drafts)
                if number not in candidates and (targets := rule(draft))
            }
            candidates.update(
                self._decide(
                    proposals,
                    drafts,
                    {target for targets in candidates.values() for target in targets},
                )
            )
        self._index(
            [
                (
                    draft,
                    self._join(draft, candidates[number])
                    if number in candidates
                    else self._add(draft),
                )
                for number, draft in enumerate(drafts)
            ]
        )
        return len(candidates)

    def _decide(
        self, proposals: dict[int, list[int]], drafts: Sequence[Draft], taken: set[int]
    ) -> dict[int, list[int]]:
        """What is accepted of the concepts each entry proposes to be: none that was taken before,
        none that another entry has the better claim to. The first of them must be among them."""
        rivals: dict[int, list[int]] = defaultdict(list)
        for number, targets in proposals.items():
            for target in targets:
                rivals[target].append(number)
        winners = {
            target: set(self._winners(target, numbers, drafts))
            for target, numbers in rivals.items()
            if target not in taken
        }
        accepted = {}
        for number, targets in proposals.items():
            kept = [target for target in targets if number in winners.get(target, ())]
            if kept[:1] == targets[:1]:
                accepted[number] = kept
        return accepted

    def _winners(
        self, target: int, rivals: Sequence[int], drafts: Sequence[Draft]
    ) -> Sequence[int]:
        """Of several entries that want one concept: those whose id is the concept's, else the only
        one whose name is."""
        if len(rivals) == 1:
            return rivals
        own = [rival for rival in rivals if self._own(drafts[rival]) == target]
        named = [rival for rival in rivals if drafts[rival].names[0] in self._get(target).names]
        return own or (named if len(named) == 1 else [])

    def _by_reference(self, draft: Draft) -> list[int]:
        """Every concept that an entry's id and references lead to, the most telling first."""
        own = self._own(draft)
        ids = (draft.concept_id, *sorted(draft.xrefs, key=_authority_order))
        linked = (
            self._find(self._ids.get(identifier, self._references.get(identifier, _SHARED)))
            for identifier in ids
        )
        fitting = (concept for concept in linked if concept == own or self._fits(draft, concept))
        return list(dict.fromkeys(concept for concept in fitting if concept != _SHARED))

    def _by_name(self, draft: Draft) -> list[int]:
        for kind in _kinds(draft):
            for name in (
                draft.names[0],
                draft.names[0].removesuffix("s") if draft.entity_type == DISEASE else "",
            ):
                target = self._find(self._names[kind].get(name, _SHARED))
                if self._fits(draft, target):
                    return [target]
        return []

    def _by_synonyms(self, draft: Draft) -> list[int]:
        forms = draft.symbols or draft.claims
        for kind in _kinds(draft):
            index = self._names[kind]
            named = {
                self._find(index[form]): form
                for form in forms
                if index.get(form, _SHARED) != _SHARED
            }
            agreed = [
                target
                for target, form in named.items()
                if self._fits(draft, target) and self._agrees(draft, self._get(target), form)
            ]
            if len(agreed) == 1:
                return agreed
        return []

    def _agrees(self, draft: Draft, other: Draft, form: str) -> bool:
        """Whether the concept named by a synonym of an entry calls itself what the entry is called,
        or knows no synonyms."""
        if draft.symbols:
            return True
        silent = draft.entity_type == other.entity_type and len(other.claims) == len(other.names)
        return (silent or draft.names[0] in other.claims) and not is_narrower(form, draft.names)

    def _fits(self, draft: Draft, target: int) -> bool:
        """Of another vocabulary, and of the same type as far as types tell things apart; of a drug
        that is only a name a gene product tells that it is none."""
        if target == _SHARED:
            return False
        other = self._get(target)
        if other.made_up and other.entity_type == DRUG and draft.entity_type != DRUG:
            return False
        return not draft.members & other.members and other.entity_type in _kinds(draft)

    def _own(self, draft: Draft) -> int:
        return self._find(self._ids.get(draft.concept_id, _SHARED))

    def _find(self, number: int) -> int:
        while number in self._moved:
            number = self._moved[number]
        return number

    def _get(self, number: int) -> Draft:
        draft = self._drafts[number]
        if draft is None:
            raise KeyError(f"concept {number} was united with another")
        return draft

    def _add(self, draft: Draft) -> int:
        self._drafts.append(draft)
        return len(self._drafts) - 1

    def _join(self, draft: Draft, targets: Sequence[int]) -> int:
        """Unite an entry with the concepts it is, under the earliest; those that share a vocabulary
        stay apart."""
        united: list[int] = []
        for target in dict.fromkeys(map(self._find, targets)):
            if not any(self._get(target).members & self._get(each).members for each in united):
                united.append(target)
        first, *others = sorted(united)
        for target in others:
            self._get(first).absorb(self._get(target))
            self._drafts[target], self._moved[target] = None, first
        self._get(first).absorb(draft)
        return first

    def _index(self, placed: Iterable[tuple[Draft, int]]) -> None:
        """Enter the drafts of one vocabulary with the concepts they now belong to. What earlier
        vocabularies have entered stays; what two concepts of this one share leads to neither."""
        references: dict[str, set[int]] = defaultdict(set)
        names: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for draft, number in placed:
            number = self._find(number)
            self._ids.setdefault(draft.concept_id, number)
            for xref in draft.xrefs:
                references[xref].add(number)
            for name in draft.names:
                names[draft.entity_type][name].add(number)
        _enter(self._references, references)
        for kind, forms in names.items():
            _enter(self._names[kind], forms)


def _enter(index: dict[str, int], found: dict[str, set[int]]) -> None:
    for key, numbers in found.items():
        index.setdefault(key, min(numbers) if len(numbers) == 1 else _SHARED)


def _kinds(draft: Draft) -> tuple[EntityType, ...]:
    """The types a concept may have that an entry is found to be."""
    if draft.entity_type == DISEASE:
        return DISEASE, PHENOTYPE
    return (GENE, DRUG) if draft.entity_type == GENE and not draft.symbols else (draft.entity_type,)
