"""Which entries of several vocabularies are one concept.

The vocabulary that comes first gives a concept its id and preferred name; every vocabulary adds its
forms. Two entries of one vocabulary stay apart, unless an earlier vocabulary already lists their
ids as the same. HPO's concepts also stay apart from each other and keep their ids.

Three rules are tried in this order, and an entry joins a concept by the first that applies:

1. By reference. One refers to the id of the other, or both refer to the same id. The reference does
   not count when another entry of the same vocabulary has it too, unless exactly one of them also
   has the concept's name. An entry that refers to several records of one authority is broader than
   each of them, so those references do not count either.
2. By preferred name. Type and preferred name are equal, as ``fold_name`` compares them. A disease
   may also be a phenotype and its name a plural; a gene product may also be a drug, because some
   proteins are given as drugs.
3. By synonym. The entry's synonyms name exactly one concept, and that concept either lists the
   entry's name among its forms or comes from a vocabulary without synonyms. The synonym must not be
   a narrower thing than the entry ("dilated cardiomyopathy 1A").

The order of the entries in a vocabulary does not matter. An id made from a name
(``MESH:<heading>``, ``DRUG:<name>``) is replaced by an official id.
"""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from medr_ray.core.records import EntityType
from medr_ray.knowledge.name_normalization import fold_name, normalise
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry

# Added to the rank of a claim by a synonym. It is larger than any number of vocabularies, so every
# preferred name ranks before every synonym.
SYNONYM_PENALTY = 1 << 16
_AMBIGUOUS = -1  # index value of a key that several concepts share
# From the most to the least specific records; decides which reference is followed first.
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
# The end of a name that numbers a subtype: "type 2", "1A", "iv", "xb".
_SUBTYPE = re.compile(r"(\btype .*|[\s,-](\d+[a-z]?|[ivx]+[a-z]?))$")


@dataclass(slots=True)
class ConceptDraft:
    """A concept while vocabularies are still being merged.

    ``vocabulary_bits`` has one bit per vocabulary that the concept is in. ``claims`` are its forms
    with the rank of each claim: the vocabulary's rank, plus ``SYNONYM_PENALTY`` for a synonym; the
    smallest rank wins. ``names`` are its preferred names in all vocabularies, as forms. ``symbols``
    are the forms that must match in exact case. ``xrefs`` are its other ids. ``specialty_codes``
    and ``findings`` are the evidence for its specialty, unless ``specialty`` gives it.
    ``has_provisional_id`` when the id is made from a name.
    """

    concept_id: str
    name: str
    entity_type: EntityType
    vocabulary_bits: int
    claims: dict[str, int]
    names: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    specialty_codes: tuple[str, ...] = ()
    findings: Counter[str] | None = None
    specialty: str = ""
    has_provisional_id: bool = False

    @classmethod
    def from_entry(cls, entry: VocabularyEntry, rank: int, vocabulary_bit: int) -> "ConceptDraft":
        """The draft of a single entry."""
        name = entry.name if entry.name in entry.symbols else normalise(entry.name)
        synonyms = (*map(normalise, entry.synonyms), *entry.symbols)
        claims = dict.fromkeys(synonyms, SYNONYM_PENALTY + rank)
        claims[name] = rank
        return cls(
            entry.concept_id,
            entry.name,
            entry.entity_type,
            vocabulary_bit,
            claims,
            (name,),
            entry.symbols,
            _identifying_references(entry),
            entry.specialty_codes,
            specialty=entry.specialty,
        )

    def merge_from(self, other: "ConceptDraft") -> None:
        """Add everything that the other draft has, and take its id if it replaces this one."""
        for form, rank in other.claims.items():
            if rank < self.claims.get(form, rank + 1):
                self.claims[form] = rank
        other_ids = () if other.has_provisional_id else (other.concept_id,)
        xrefs = dict.fromkeys((*self.xrefs, *other_ids, *other.xrefs))
        if self._yields_id_to(other):
            self.concept_id = other.concept_id
            self.has_provisional_id = False
        self.vocabulary_bits |= other.vocabulary_bits
        self.names = tuple(dict.fromkeys((*self.names, *other.names)))
        self.symbols = tuple(dict.fromkeys((*self.symbols, *other.symbols)))
        self.xrefs = tuple(xref for xref in xrefs if xref != self.concept_id)
        self.specialty_codes += other.specialty_codes
        self.specialty = self.specialty or other.specialty

    def _yields_id_to(self, other: "ConceptDraft") -> bool:
        """Whether the other's id replaces this provisional one.

        A MeSH heading accepts only MeSH's own number for it. A drug without a number accepts any
        official id.
        """
        accepted_prefix = "" if self.concept_id.startswith("DRUG:") else "MESH:"
        is_official = not other.has_provisional_id and other.concept_id.startswith(accepted_prefix)
        return self.has_provisional_id and is_official


def _identifying_references(entry: VocabularyEntry) -> tuple[str, ...]:
    """The references that are the same thing as the entry.

    These are references that are the only one of their authority. References to several records of
    one authority are narrower things; but of the entry's own authority they are its former ids.
    """
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
    rank = len(_AUTHORITY_ORDER)
    if authority in _AUTHORITY_ORDER:
        rank = _AUTHORITY_ORDER.index(authority)
    return rank, concept_id


def is_narrower(name: str, broader_names: Iterable[str]) -> bool:
    """Whether a name is a numbered subtype, or has all words of a broader name and more."""
    if _SUBTYPE.search(name):
        return True
    words = set(_WORD.findall(name))
    return any(set(_WORD.findall(broader)) < words for broader in broader_names)


class ConceptRegistry:
    """The concepts so far, with indexes to find the concept that an entry is.

    Concepts are numbered in the order of their arrival. The number of a concept that was merged
    into another stays valid and leads to the other.
    """

    def __init__(self, drafts: Iterable[ConceptDraft]) -> None:
        """``drafts`` are those of the first vocabularies, vocabulary by vocabulary. They are taken
        as they are: none is merged with another."""
        self._drafts: list[ConceptDraft | None] = []
        self._merged_into: dict[int, int] = {}
        self._ids: dict[str, int] = {}
        self._references: dict[str, int] = {}
        self._names: dict[str, dict[str, int]] = defaultdict(dict)
        # A draft's smallest claim is that of its preferred name, whose rank is its vocabulary's.
        for _, vocabulary in itertools.groupby(
            drafts, key=lambda draft: min(draft.claims.values())
        ):
            placed = [(draft, self._add_draft(draft)) for draft in vocabulary]
            self._index_drafts(placed)
            self._ids.update((xref, number) for draft, number in placed for xref in draft.xrefs)

    def iterate_drafts(self) -> Iterator[ConceptDraft]:
        """The concepts, those of earlier vocabularies first."""
        return (draft for draft in self._drafts if draft is not None)

    def add_vocabulary(
        self, entries: Sequence[VocabularyEntry], rank: int, vocabulary_bit: int
    ) -> int:
        """Add a vocabulary. Returns how many of its entries joined an existing concept."""
        drafts = [ConceptDraft.from_entry(entry, rank, vocabulary_bit) for entry in entries]
        matches: dict[int, list[int]] = {}
        rules: tuple[Callable[[ConceptDraft], list[int]], ...] = (
            self._match_references,
            self._match_name,
            self._match_synonyms,
        )
        # All entries are tried with one rule before any is tried with the next. So a weak match
        # never takes a concept from another entry's strong match, whatever the order of entries.
        for rule in rules:
            proposals: dict[int, list[int]] = {}
            for number, draft in enumerate(drafts):
                if number in matches:
                    continue
                targets = rule(draft)
                if targets:
                    proposals[number] = targets
            taken = {target for targets in matches.values() for target in targets}
            matches.update(self._accept_proposals(proposals, drafts, taken))
        placed = []
        for number, draft in enumerate(drafts):
            if number in matches:
                concept = self._unite_with_targets(draft, matches[number])
            else:
                concept = self._add_draft(draft)
            placed.append((draft, concept))
        self._index_drafts(placed)
        return len(matches)

    def _accept_proposals(
        self,
        proposals: dict[int, list[int]],
        drafts: Sequence[ConceptDraft],
        taken: set[int],
    ) -> dict[int, list[int]]:
        """The concepts that each entry may join, of those it proposes.

        A concept that an earlier rule gave away, or that another entry has a better claim to, is
        dropped. An entry whose first, most specific proposal is dropped joins nothing by this rule.
        """
        rivals_by_target: dict[int, list[int]] = defaultdict(list)
        for number, targets in proposals.items():
            for target in targets:
                rivals_by_target[target].append(number)
        winners = {
            target: set(self._select_winners(target, rivals, drafts))
            for target, rivals in rivals_by_target.items()
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
        """Of several entries that propose one concept, those that have its id, else the only one
        that has its name, else none."""
        if len(rivals) == 1:
            return rivals
        with_its_id = [rival for rival in rivals if self._find_own_concept(drafts[rival]) == target]
        if with_its_id:
            return with_its_id
        names = set(map(fold_name, self._get_draft(target).names))
        with_its_name = [rival for rival in rivals if fold_name(drafts[rival].names[0]) in names]
        return with_its_name if len(with_its_name) == 1 else []

    def _match_references(self, draft: ConceptDraft) -> list[int]:
        """The concepts that an entry's id and references lead to, its own id first, then the most
        specific authority."""
        own = self._find_own_concept(draft)
        concepts: dict[int, None] = {}
        for concept_id in (draft.concept_id, *sorted(draft.xrefs, key=_reference_sort_key)):
            number = self._ids.get(concept_id, self._references.get(concept_id, _AMBIGUOUS))
            concept = self._resolve_merged(number)
            # An equal id needs no check of type or vocabulary.
            is_match = concept == own or self._is_compatible(draft, concept)
            if concept != _AMBIGUOUS and is_match:
                concepts[concept] = None
        return list(concepts)

    def _match_name(self, draft: ConceptDraft) -> list[int]:
        """The concept with the entry's preferred name; MeSH prints many diseases in the plural."""
        name = fold_name(draft.names[0])
        singular = name.removesuffix("s") if draft.entity_type == DISEASE else ""
        for entity_type in _compatible_types(draft):
            for candidate in (name, singular):
                number = self._names[entity_type].get(candidate, _AMBIGUOUS)
                target = self._resolve_merged(number)
                if self._is_compatible(draft, target):
                    return [target]
        return []

    def _match_synonyms(self, draft: ConceptDraft) -> list[int]:
        """The only concept whose preferred name is a synonym of the entry and confirms it."""
        # A gene that has symbols is matched by those alone, never by its long names.
        forms = draft.symbols or draft.claims
        for entity_type in _compatible_types(draft):
            index = self._names[entity_type]
            form_of_target = {}
            for form in forms:
                number = index.get(fold_name(form), _AMBIGUOUS)
                if number != _AMBIGUOUS:
                    form_of_target[self._resolve_merged(number)] = form
            confirmed = [
                target
                for target, form in form_of_target.items()
                if self._is_compatible(draft, target)
                and self._confirms_synonym(draft, self._get_draft(target), form)
            ]
            if len(confirmed) == 1:
                return confirmed
        return []

    def _confirms_synonym(self, draft: ConceptDraft, other: ConceptDraft, form: str) -> bool:
        """Whether a concept that a synonym of an entry names is the entry.

        It is when the concept lists the entry's name too, or has no synonyms that could list it.
        """
        if draft.symbols:
            return True
        has_no_synonyms = len(other.claims) == len(other.names)
        cannot_object = draft.entity_type == other.entity_type and has_no_synonyms
        lists_name = fold_name(draft.names[0]) in map(fold_name, other.claims)
        return (cannot_object or lists_name) and not is_narrower(form, draft.names)

    def _is_compatible(self, draft: ConceptDraft, target: int) -> bool:
        """Whether a concept has a compatible type and is in none of the entry's vocabularies."""
        if target == _AMBIGUOUS:
            return False
        other = self._get_draft(target)
        # The name dictionary calls some proteins drugs: a gene product of that name shows that
        # it is not one, so they must not become one concept.
        if other.has_provisional_id and other.entity_type == DRUG and draft.entity_type != DRUG:
            return False
        shares_vocabulary = bool(draft.vocabulary_bits & other.vocabulary_bits)
        return not shares_vocabulary and other.entity_type in _compatible_types(draft)

    def _find_own_concept(self, draft: ConceptDraft) -> int:
        """The concept that has the entry's id, or ``_AMBIGUOUS``."""
        return self._resolve_merged(self._ids.get(draft.concept_id, _AMBIGUOUS))

    def _resolve_merged(self, number: int) -> int:
        """The concept that a number leads to after all merges."""
        while number in self._merged_into:
            number = self._merged_into[number]
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
        """Merge an entry and the concepts that it is into the earliest of them.

        Concepts that share a vocabulary stay apart: that vocabulary lists them as different things.
        """
        united: list[int] = []
        for target in dict.fromkeys(map(self._resolve_merged, targets)):
            bits = self._get_draft(target).vocabulary_bits
            if not any(bits & self._get_draft(other).vocabulary_bits for other in united):
                united.append(target)
        first, *others = sorted(united)
        for target in others:
            self._get_draft(first).merge_from(self._get_draft(target))
            self._drafts[target] = None
            self._merged_into[target] = first
        self._get_draft(first).merge_from(draft)
        return first

    def _index_drafts(self, placed: Iterable[tuple[ConceptDraft, int]]) -> None:
        """Index the drafts of one vocabulary under the concepts they now belong to.

        Keys of earlier vocabularies keep their concept. A key that two concepts of this vocabulary
        share leads to neither.
        """
        references: dict[str, set[int]] = defaultdict(set)
        names: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for draft, number in placed:
            concept = self._resolve_merged(number)
            self._ids.setdefault(draft.concept_id, concept)
            for xref in draft.xrefs:
                references[xref].add(concept)
            for name in draft.names:
                names[draft.entity_type][fold_name(name)].add(concept)
        _add_index_keys(self._references, references)
        for entity_type, numbers_by_name in names.items():
            _add_index_keys(self._names[entity_type], numbers_by_name)


def _add_index_keys(index: dict[str, int], numbers_by_key: dict[str, set[int]]) -> None:
    for key, numbers in numbers_by_key.items():
        index.setdefault(key, min(numbers) if len(numbers) == 1 else _AMBIGUOUS)


def _compatible_types(draft: ConceptDraft) -> tuple[EntityType, ...]:
    """The types of concepts that an entry may join, the likelier first."""
    if draft.entity_type == DISEASE:
        return DISEASE, PHENOTYPE
    # MeSH's gene products have no symbols, and some are given as drugs. Genes of HGNC have.
    if draft.entity_type == GENE and not draft.symbols:
        return GENE, DRUG
    return (draft.entity_type,)
