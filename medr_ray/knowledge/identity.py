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
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry

# Added to the rank of a claim that rests on a synonym: preferred names come first.
SYNONYM_PENALTY = 1 << 16
_AMBIGUOUS = -1  # in an index: more than one concept
_AUTHORITY_ORDER = (
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
class ConceptDraft:
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
    vocabulary_bits: int
    claims: dict[str, int]
    names: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    findings: Counter[str] | None = None
    specialty: str = ""
    has_provisional_id: bool = False

    @classmethod
    def from_entry(cls, entry: VocabularyEntry, rank: int, member: int) -> "ConceptDraft":
        """The draft of one entry alone."""
        name = entry.name if entry.name in entry.symbols else normalise(entry.name)
        claims = dict.fromkeys(
            (*map(normalise, entry.synonyms), *entry.symbols), SYNONYM_PENALTY + rank
        )
        claims[name] = rank
        return cls(
            entry.concept_id,
            entry.name,
            entry.entity_type,
            member,
            claims,
            (name,),
            entry.symbols,
            _identifying_references(entry),
            entry.codes,
            specialty=entry.specialty,
        )

    def merge_from(self, other: "ConceptDraft") -> None:
        """Take over all the other has; an id that is only a name gives way."""
        for form, rank in other.claims.items():
            if rank < self.claims.get(form, rank + 1):
                self.claims[form] = rank
        others = (
            *self.xrefs,
            *(() if other.has_provisional_id else (other.concept_id,)),
            *other.xrefs,
        )
        if self._yields_id_to(other):
            self.concept_id, self.has_provisional_id = other.concept_id, False
        self.vocabulary_bits |= other.vocabulary_bits
        self.names = tuple(dict.fromkeys((*self.names, *other.names)))
        self.symbols = tuple(dict.fromkeys((*self.symbols, *other.symbols)))
        self.xrefs = tuple(xref for xref in dict.fromkeys(others) if xref != self.concept_id)
        self.codes += other.codes
        self.specialty = self.specialty or other.specialty

    def _yields_id_to(self, other: "ConceptDraft") -> bool:
        """MeSH's own number for a heading, any number for a drug that has none."""
        official = "" if self.concept_id.startswith("DRUG:") else "MESH:"
        return (
            self.has_provisional_id
            and not other.has_provisional_id
            and other.concept_id.startswith(official)
        )


def _identifying_references(entry: VocabularyEntry) -> tuple[str, ...]:
    """The references that say what an entry is: alone of their authority, or former ids of its
    own."""
    if len(entry.xrefs) < 2:
        return entry.xrefs
    counts = Counter(map(_parse_authority, entry.xrefs))
    counts[_parse_authority(entry.concept_id)] = 1
    return tuple(xref for xref in entry.xrefs if counts[_parse_authority(xref)] == 1)


def _parse_authority(concept_id: str) -> str:
    return concept_id.partition(":")[0]


def _reference_sort_key(concept_id: str) -> tuple[int, str]:
    """Sort key of references: those to the most specific records first."""
    authority = _parse_authority(concept_id)
    return _AUTHORITY_ORDER.index(authority) if authority in _AUTHORITY_ORDER else len(
        _AUTHORITY_ORDER
    ), concept_id


def is_narrower(name: str, broader: Iterable[str]) -> bool:
    """A numbered subtype, or all the words of the broader name and more."""
    words = set(_WORD.findall(name))
    return bool(_SUBTYPE.search(name)) or any(
        set(_WORD.findall(name_words)) < words for name_words in broader
    )


class ConceptRegistry:
    """The concepts so far, and how to find the one that an entry is."""

    def __init__(self, drafts: Iterable[ConceptDraft]) -> None:
        self._drafts: list[ConceptDraft | None] = []
        self._moved: dict[int, int] = {}  # a concept that became part of another
        self._ids: dict[str, int] = {}
        self._references: dict[str, int] = {}
        self._names: dict[str, dict[str, int]] = defaultdict(dict)
        for _, vocabulary in itertools.groupby(
            drafts, key=lambda draft: min(draft.claims.values())
        ):
            placed = [(draft, self._add_draft(draft)) for draft in vocabulary]
            self._index_drafts(placed)
            self._ids.update((xref, number) for draft, number in placed for xref in draft.xrefs)

    def iterate_drafts(self) -> Iterator[ConceptDraft]:
        """The concepts, those of earlier vocabularies first."""
        return (draft for draft in self._drafts if draft is not None)

    def add_vocabulary(self, entries: Sequence[VocabularyEntry], rank: int, member: int) -> int:
        """Add a vocabulary; returns how many of its entries were concepts already known."""
        drafts = [ConceptDraft.from_entry(entry, rank, member) for entry in entries]
        candidates: dict[int, list[int]] = {}
        rules: tuple[Callable[[ConceptDraft], list[int]], ...] = (
            self._match_references,
            self._match_name,
            self._match_synonyms,
        )
        for rule in rules:
            proposals = {
                number: targets
                for number, draft in enumerate(drafts)
                if number not in candidates and (targets := rule(draft))
            }
            candidates.update(
                self._accept_proposals(
                    proposals,
                    drafts,
                    {target for targets in candidates.values() for target in targets},
                )
            )
        self._index_drafts(
            [
                (
                    draft,
                    self._unite_with_targets(draft, candidates[number])
                    if number in candidates
                    else self._add_draft(draft),
                )
                for number, draft in enumerate(drafts)
            ]
        )
        return len(candidates)

    def _accept_proposals(
        self, proposals: dict[int, list[int]], drafts: Sequence[ConceptDraft], taken: set[int]
    ) -> dict[int, list[int]]:
        """What is accepted of the concepts each entry proposes to be: none that was taken before,
        none that another entry has the better claim to. The first of them must be among them."""
        rivals: dict[int, list[int]] = defaultdict(list)
        for number, targets in proposals.items():
            for target in targets:
                rivals[target].append(number)
        winners = {
            target: set(self._select_winners(target, numbers, drafts))
            for target, numbers in rivals.items()
            if target not in taken
        }
        accepted = {}
        for number, targets in proposals.items():
            kept = [target for target in targets if number in winners.get(target, ())]
            if kept[:1] == targets[:1]:
                accepted[number] = kept
        return accepted

    def _select_winners(
        self, target: int, rivals: Sequence[int], drafts: Sequence[ConceptDraft]
    ) -> Sequence[int]:
        """Of several entries that want one concept: those whose id is the concept's, else the only
        one whose name is."""
        if len(rivals) == 1:
            return rivals
        own = [rival for rival in rivals if self._find_own_concept(drafts[rival]) == target]
        named = [
            rival for rival in rivals if drafts[rival].names[0] in self._get_draft(target).names
        ]
        return own or (named if len(named) == 1 else [])

    def _match_references(self, draft: ConceptDraft) -> list[int]:
        """Every concept that an entry's id and references lead to, the most telling first."""
        own = self._find_own_concept(draft)
        ids = (draft.concept_id, *sorted(draft.xrefs, key=_reference_sort_key))
        linked = (
            self._resolve_merged(
                self._ids.get(identifier, self._references.get(identifier, _AMBIGUOUS))
            )
            for identifier in ids
        )
        fitting = (
            concept for concept in linked if concept == own or self._is_compatible(draft, concept)
        )
        return list(dict.fromkeys(concept for concept in fitting if concept != _AMBIGUOUS))

    def _match_name(self, draft: ConceptDraft) -> list[int]:
        for kind in _compatible_types(draft):
            for name in (
                draft.names[0],
                draft.names[0].removesuffix("s") if draft.entity_type == DISEASE else "",
            ):
                target = self._resolve_merged(self._names[kind].get(name, _AMBIGUOUS))
                if self._is_compatible(draft, target):
                    return [target]
        return []

    def _match_synonyms(self, draft: ConceptDraft) -> list[int]:
        forms = draft.symbols or draft.claims
        for kind in _compatible_types(draft):
            index = self._names[kind]
            named = {
                self._resolve_merged(index[form]): form
                for form in forms
                if index.get(form, _AMBIGUOUS) != _AMBIGUOUS
            }
            agreed = [
                target
                for target, form in named.items()
                if self._is_compatible(draft, target)
                and self._confirms_synonym(draft, self._get_draft(target), form)
            ]
            if len(agreed) == 1:
                return agreed
        return []

    def _confirms_synonym(self, draft: ConceptDraft, other: ConceptDraft, form: str) -> bool:
        """Whether the concept named by a synonym of an entry calls itself what the entry is called,
        or knows no synonyms."""
        if draft.symbols:
            return True
        silent = draft.entity_type == other.entity_type and len(other.claims) == len(other.names)
        return (silent or draft.names[0] in other.claims) and not is_narrower(form, draft.names)

    def _is_compatible(self, draft: ConceptDraft, target: int) -> bool:
        """Of another vocabulary, and of the same type as far as types tell things apart; of a drug
        that is only a name a gene product tells that it is none."""
        if target == _AMBIGUOUS:
            return False
        other = self._get_draft(target)
        if other.has_provisional_id and other.entity_type == DRUG and draft.entity_type != DRUG:
            return False
        return (
            not draft.vocabulary_bits & other.vocabulary_bits
            and other.entity_type in _compatible_types(draft)
        )

    def _find_own_concept(self, draft: ConceptDraft) -> int:
        return self._resolve_merged(self._ids.get(draft.concept_id, _AMBIGUOUS))

    def _resolve_merged(self, number: int) -> int:
        while number in self._moved:
            number = self._moved[number]
        return number

    def _get_draft(self, number: int) -> ConceptDraft:
        draft = self._drafts[number]
        if draft is None:
            raise KeyError(f"concept {number} was united with another")
        return draft

    def _add_draft(self, draft: ConceptDraft) -> int:
        self._drafts.append(draft)
        return len(self._drafts) - 1

    def _unite_with_targets(self, draft: ConceptDraft, targets: Sequence[int]) -> int:
        """Unite an entry with the concepts it is, under the earliest; those that share a vocabulary
        stay apart."""
        united: list[int] = []
        for target in dict.fromkeys(map(self._resolve_merged, targets)):
            if not any(
                self._get_draft(target).vocabulary_bits & self._get_draft(each).vocabulary_bits
                for each in united
            ):
                united.append(target)
        first, *others = sorted(united)
        for target in others:
            self._get_draft(first).merge_from(self._get_draft(target))
            self._drafts[target], self._moved[target] = None, first
        self._get_draft(first).merge_from(draft)
        return first

    def _index_drafts(self, placed: Iterable[tuple[ConceptDraft, int]]) -> None:
        """Enter the drafts of one vocabulary with the concepts they now belong to. What earlier
        vocabularies have entered stays; what two concepts of this one share leads to neither."""
        references: dict[str, set[int]] = defaultdict(set)
        names: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for draft, number in placed:
            number = self._resolve_merged(number)
            self._ids.setdefault(draft.concept_id, number)
            for xref in draft.xrefs:
                references[xref].add(number)
            for name in draft.names:
                names[draft.entity_type][name].add(number)
        _add_index_keys(self._references, references)
        for kind, forms in names.items():
            _add_index_keys(self._names[kind], forms)


def _add_index_keys(index: dict[str, int], found: dict[str, set[int]]) -> None:
    for key, numbers in found.items():
        index.setdefault(key, min(numbers) if len(numbers) == 1 else _AMBIGUOUS)


def _compatible_types(draft: ConceptDraft) -> tuple[EntityType, ...]:
    """The types a concept may have that an entry is found to be."""
    if draft.entity_type == DISEASE:
        return DISEASE, PHENOTYPE
    return (GENE, DRUG) if draft.entity_type == GENE and not draft.symbols else (draft.entity_type,)
