"""Which records of OMIM, Orphanet and DECIPHER are one disease, by their names and genes.

Three rules, each tried on what the earlier ones left apart:

1. Records with the same folded name (``fold_name``) are one disease.
2. A record of OMIM and one of Orphanet are one disease when their names have the same words
   (``make_name_key``: "Spastic paraplegia 70, autosomal recessive" and "Autosomal recessive spastic
   paraplegia type 70"), no other record of the two has these words, and their genes allow it.
3. So are two that have one and the same single gene, where one name has all words of the other and
   more, none of which sets a form of the disease apart ("Ornithine transcarbamylase deficiency,
   hyperammonemia due to").

A class is not its member: where Orphanet lists more genes than OMIM, or others, rule 2 does not
apply. A familial, juvenile or numbered form is not the disease: rule 3 does not apply.
"""

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from medr_ray.knowledge.name_normalization import fold_name, normalise

_OMIM = "OMIM"
_ORPHANET = "ORPHA"
_WORD = re.compile(r"\w+")
_FIGURE = re.compile(r"\d+[a-z]?(?![a-z])")
_COMPOUND = re.compile(r"\b(?=(\w+)-(\w+)\b)")
# Words that names of one disease may have or lack; those of a class only beside other words.
_EMPTY_WORDS = frozenset(("with", "and", "of", "the", "in", "due", "to", "by", "or", "type"))
_CLASS_WORDS = frozenset(("syndrome", "disease", "disorder"))
_ROMAN = re.compile(r"(x{0,2}(?:ix|iv|v?i{0,3}))([a-f]?)")
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10}
_MIN_PLURAL = 5  # letters of a word whose last "s" may be that of a plural
_MIN_COMMON_WORDS = 2  # of two names, one of which contains the other
# Words that tell a form of a disease from the disease.
# fmt: off
_FORM_WORDS = frozenset(
    (
        "infantile", "juvenile", "neonatal", "congenital", "congenita", "adult", "early", "late",
        "onset", "familial", "hereditary", "acquired", "sporadic", "somatic", "primary",
        "secondary", "historical", "susceptibility", "x", "autosomal", "dominant", "recessive",
        "deletion", "microdeletion", "duplication", "microduplication", "severe", "mild",
        "lethal", "classic", "atypical", "partial", "complete", "isolated", "syndromic", "non",
        "plus", "cerebral",
    )
)
_COURSE_WORDS = frozenset(
    (
        "acute", "advanced", "aggressive", "benign", "childhood", "chronic", "malignant",
        "metastatic", "pediatric", "progressive", "recurrent", "refractory", "relapsing",
        "resistant", "subacute",
    )
)
# fmt: on

# Words of one meaning in names of MeSH and of HPO.
_EQUAL_WORDS = {
    "allergy": "hypersensitivity",
    "cardiac": "heart",
    "cerebral": "brain",
    "gastric": "stomach",
    "hepatic": "liver",
    "infarct": "infarction",
    "renal": "kidney",
    "septum": "septal",
    "tumor": "neoplasm",
}


def make_name_key(name: str) -> tuple[str, ...]:
    """The words of a name in alphabetical order, by which two ways to print it are equal.

    Plurals, Roman figures and the order of words go away, and so do "syndrome", "type" and the
    like, unless they are needed.
    """
    words = _split_name(name)
    return tuple(sorted(words))


@functools.lru_cache(maxsize=100_000)
def _split_name(name: str) -> tuple[str, ...]:
    folded = _WORD.findall(fold_name(name))
    words = tuple(
        word if _is_x_linked(folded, position) else _fold_figure(word)
        for position, word in enumerate(folded)
        if word not in _EMPTY_WORDS or folded[position - 1 : position] == ["type"]  # "type In"
    )
    specific = tuple(word for word in words if word not in _CLASS_WORDS)
    # A single word does not name a disease: Cushing disease is not Cushing syndrome.
    return specific if len(specific) >= _MIN_COMMON_WORDS else words or tuple(folded)


def _is_x_linked(words: Sequence[str], position: int) -> bool:
    """Whether a word is the X of "X-linked", which is no figure."""
    return words[position] == "x" and words[position + 1 : position + 2] == ["linked"]


def _fold_figure(word: str) -> str:
    """Roman figures as Arabic ones ("IIIA", "3a"), other words in the singular."""
    roman = _ROMAN.fullmatch(word)
    if roman and roman[1]:
        return f"{_parse_roman(roman[1])}{roman[2]}"
    if word.endswith("ies") and len(word) > _MIN_PLURAL:
        return f"{word[:-3]}y"
    is_plural = word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if is_plural and len(word) >= _MIN_PLURAL else word


def _parse_roman(figure: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in figure]
    following = [*values[1:], 0]
    signed = (
        -value if value < next_value else value
        for value, next_value in zip(values, following, strict=True)
    )
    return sum(signed)


def has_narrower_words(name: str, broader: str) -> bool:
    """Whether a name has all words of a broader one and more."""
    words = set(make_name_key(broader)) - _CLASS_WORDS
    return words < set(make_name_key(name)) - _CLASS_WORDS


def have_equal_words(name: str, other: str) -> bool:
    """Whether two names have the same words, or words of one meaning."""
    return sorted(_list_meanings(name)) == sorted(_list_meanings(other))


def share_words(name: str, other: str) -> bool:
    """Whether two names have a word of one meaning that says what disease it is."""
    common = set(_list_meanings(name)) & set(_list_meanings(other))
    return bool(common - _CLASS_WORDS - _FORM_WORDS - _COURSE_WORDS - {"neoplasm", "infection"})


def _list_meanings(name: str) -> list[str]:
    return [_EQUAL_WORDS.get(word, word) for word in make_name_key(name)]


def names_other_form(name: str, other: str) -> bool:
    """Whether one of two names has a figure, or a word for a form or a course of a disease, that
    the other lacks: "Mucopolysaccharidosis IH", "juvenile-onset Still disease"."""
    words, other_words = (set(_split_name(printed)) for printed in (name, other))
    if (words ^ other_words) & (_FORM_WORDS | _COURSE_WORDS):
        return True
    figures, other_figures = (
        set(_FIGURE.findall(" ".join(parts))) for parts in (words, other_words)
    )
    return figures != other_figures


def reverses_compound(name: str, other: str) -> bool:
    """Whether a compound of one name is reversed in the other: Goldberg-Shprintzen syndrome is not
    Shprintzen-Goldberg syndrome."""
    pairs = set(_COMPOUND.findall(normalise(name)))
    other_pairs = _COMPOUND.findall(normalise(other))
    return any(first != second and (second, first) in pairs for first, second in other_pairs)


def adds_detail_only(name: str, other: str) -> bool:
    """Whether one of two names has all words of the other, and the others name no form of it."""
    words = set(_split_name(name))
    other_words = set(_split_name(other))
    words = _separate_words(words, other_words)
    other_words = _separate_words(other_words, words)
    common = words & other_words
    if common not in (words, other_words) or len(common) < _MIN_COMMON_WORDS:
        return False
    added = words ^ other_words
    has_figure = any(character.isdigit() for word in added for character in word)
    return not has_figure and not added & _FORM_WORDS


def _separate_words(words: set[str], others: set[str]) -> set[str]:
    """The words without an empty one that a lost line break has joined to them ("infarctsand")."""
    return {next((other for other in others if _is_joined(word, other)), word) for word in words}


def _is_joined(word: str, other: str) -> bool:
    """Whether a word is the other, or its plural, and an empty word."""
    rest = word.removeprefix(other)
    return rest != word and (rest in _EMPTY_WORDS or rest.removeprefix("s") in _EMPTY_WORDS)


def group_same_records(
    names: Mapping[str, Sequence[str]], genes: Mapping[str, frozenset[str]]
) -> list[tuple[str, ...]]:
    """The records of each disease, in the order of ``names``.

    ``names`` are the printed names of each record, the preferred one first; ``genes`` the symbols
    of those that have some.
    """
    groups = _Groups(names)
    for members in _invert((record, [fold_name(printed[0])]) for record, printed in names.items()):
        groups.unite(members)
    for members in _invert(
        (record, map(make_name_key, printed)) for record, printed in names.items()
    ):
        pair = groups.find_open_pair(members)
        if pair and _names_agree(names, *pair) and not _is_class(genes, *pair):
            groups.unite(pair)
    for pair in _find_pairs_by_gene(names, genes, groups):
        groups.unite(pair)
    return groups.list_groups()


class _Groups:
    """Records united into diseases; each is known by its first record."""

    def __init__(self, records: Iterable[str]) -> None:
        self._first = {record: record for record in records}
        self._members = {record: [record] for record in self._first}
        self._position = {record: number for number, record in enumerate(self._first)}

    def unite(self, records: Sequence[str]) -> None:
        firsts = sorted({self._first[record] for record in records}, key=self._position.__getitem__)
        target, *others = firsts
        for other in others:
            moved = self._members.pop(other)
            self._members[target] += moved
            self._first.update(dict.fromkeys(moved, target))

    def find_open_pair(self, records: Iterable[str]) -> tuple[str, str] | None:
        """The two diseases that the records belong to, where one is only OMIM's and the other only
        Orphanet's; None where they are others or more."""
        firsts = {self._first[record] for record in records}
        if len(firsts) != 2:
            return None
        by_authority = {self._find_authority(first): first for first in firsts}
        if by_authority.keys() != {_OMIM, _ORPHANET}:
            return None
        return by_authority[_OMIM], by_authority[_ORPHANET]

    def _find_authority(self, first: str) -> str:
        """The only authority of a disease, "" for several. DECIPHER's records do not count."""
        authorities = {record.partition(":")[0] for record in self._members[first]}
        authorities.discard("DECIPHER")
        return min(authorities) if len(authorities) == 1 else ""

    def list_groups(self) -> list[tuple[str, ...]]:
        return [
            tuple(sorted(members, key=self._position.__getitem__))
            for _, members in sorted(
                self._members.items(), key=lambda item: self._position[item[0]]
            )
        ]


def _invert(keys_by_record: Iterable[tuple[str, Iterable[Hashable]]]) -> list[list[str]]:
    """The records of each key, in order."""
    records_by_key: dict[Hashable, dict[str, None]] = defaultdict(dict)
    for record, keys in keys_by_record:
        for key in keys:
            records_by_key[key][record] = None
    return [list(records) for records in records_by_key.values()]


def _names_agree(names: Mapping[str, Sequence[str]], record: str, other: str) -> bool:
    return not any(
        reverses_compound(name, other_name) for name in names[record] for other_name in names[other]
    )


def _is_class(genes: Mapping[str, frozenset[str]], omim: str, orphanet: str) -> bool:
    """Whether the genes show that Orphanet's disorder is a class of OMIM's, or another disease."""
    own = genes.get(omim, frozenset())
    of_orphanet = genes.get(orphanet, frozenset())
    if not own or not of_orphanet:
        return False
    return own < of_orphanet or not own & of_orphanet


def _find_pairs_by_gene(
    names: Mapping[str, Sequence[str]], genes: Mapping[str, frozenset[str]], groups: _Groups
) -> Iterator[tuple[str, str]]:
    """The pairs of rule 3. A record in two of them is in none."""
    candidates = [
        pair
        for records in _invert(
            (record, genes[record]) for record in names if len(genes.get(record, ())) == 1
        )
        for pair in _pair_authorities(records)
        if groups.find_open_pair(pair) and _any_adds_detail(names, *pair)
    ]
    counts = Counter(record for pair in candidates for record in pair)
    return (pair for pair in candidates if all(counts[record] == 1 for record in pair))


def _pair_authorities(records: Sequence[str]) -> Iterator[tuple[str, str]]:
    of_omim = [record for record in records if record.startswith(_OMIM)]
    of_orphanet = [record for record in records if record.startswith(_ORPHANET)]
    return ((record, other) for record in of_omim for other in of_orphanet)


def _any_adds_detail(names: Mapping[str, Sequence[str]], record: str, other: str) -> bool:
    return any(
        adds_detail_only(name, other_name) for name in names[record] for other_name in names[other]
    )
