"""Names as a person writes them in the middle of an English sentence.

Registries shout (PFIZER INC), abbreviate (HELSINN HLTHCARE), invert (Cardiomyopathy, dilated, 1K)
and write each name with a capital. What a word looks like in mid-sentence is learnt from the names
themselves and from the titles of papers: a word that stands there in small letters is no proper
name. No list of single names decides.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from medr_ray.graph.facts.fact_table import TableEntity

_MAX_NAME_WORDS = 9
_WORD = re.compile(r"[^\s,;:()\[\]/“”\"]+")
_VOWELS = re.compile(r"[AEIOUYÄÖÜ]")
# A small minority of names prints a word otherwise than the others.
_MIN_MAJORITY = 0.8
_MIN_SHOUTED = 0.8  # of the letters of a name
_MIN_ENDING_NAMES = 3  # drugs that share an ending, for it to be one of generic names
_ENDING_LETTERS = 4
_MAX_INITIALS = 3  # letters of a shouted word that is more often initials than a word

# --- what words look like ---------------------------------------------------------------


class WordForms:
    """How often words stand in mid-sentence in each of their forms ("IgE", "syndrome", "Rett")."""

    def __init__(self, entities: Iterable[TableEntity]) -> None:
        self._forms: dict[str, Counter[str]] = {}
        self._pairs: set[tuple[str, str]] = set()
        self._company_forms: dict[str, Counter[str]] = {}
        self._endings: Counter[str] = Counter()
        for entity in entities:
            self._learn_entity(entity)

    def _learn_entity(self, entity: TableEntity) -> None:
        if entity.entity_type in ("disease", "phenotype", "paper"):
            for name in entity.names:
                self._learn_sentence(name)
        elif entity.entity_type in ("company", "institution"):
            for name in entity.names:
                if not name.isupper():
                    _count_words(self._company_forms, _WORD.findall(name))
        elif entity.entity_type == "drug" and entity.names:
            self._endings[entity.names[0].casefold()[-_ENDING_LETTERS:]] += 1

    def _learn_sentence(self, name: str) -> None:
        words = _WORD.findall(name)
        if name.isupper() or _is_title_case(words):
            return
        # A capital at the beginning says nothing, unless there are others in the word.
        inner = words[1:] if not re.search("[A-Z]", words[0][1:]) else words
        _count_words(self._forms, inner)
        for first, second in itertools.pairwise(words[1:]):
            if second in _EPONYMOUS:
                self._pairs.add((first, second))

    def usual_form(self, word: str) -> str:
        """The usual form of a word in mid-sentence; "" where no name shows it."""
        forms = self._forms.get(word.casefold())
        return forms.most_common(1)[0][0] if forms else ""

    def share(self, word: str, form: str) -> float:
        """The share of a form among all of the word, 0 to 1."""
        forms = self._forms.get(word.casefold())
        return forms[form] / forms.total() if forms else 0.0

    def usual_company_form(self, word: str) -> str:
        """The usual form of a word in names of companies and institutions; "" where none has it."""
        forms = self._company_forms.get(word.casefold())
        return forms.most_common(1)[0][0] if forms else ""

    def is_small(self, word: str) -> bool:
        """Whether the word usually stands in small letters in mid-sentence."""
        return self.usual_form(word).islower()

    def is_small_before(self, word: str, noun: str) -> bool:
        """Whether the word has stood in small letters before that noun: "kidney disease" has,
        "Best disease" has not."""
        return (word.casefold(), noun) in self._pairs

    def is_drug_ending(self, word: str) -> bool:
        """Whether generic names of drugs end like the word."""
        return self._endings[word.casefold()[-_ENDING_LETTERS:]] >= _MIN_ENDING_NAMES


def _count_words(forms: dict[str, Counter[str]], words: Iterable[str]) -> None:
    for word in words:
        forms.setdefault(word.casefold(), Counter())[word] += 1


def _is_title_case(words: Sequence[str]) -> bool:
    """Whether all longer words begin with a capital, and there are several."""
    long_words = [word for word in words if len(word) > 3 and word[0].isalpha()]
    return len(long_words) > 1 and all(word[0].isupper() for word in long_words)


def _replace_words(name: str, words: Mapping[int, str]) -> str:
    """The name with the words at those positions replaced."""
    position = -1

    def replace(match: re.Match[str]) -> str:
        nonlocal position
        position += 1
        return words.get(position, match[0])

    return _WORD.sub(replace, name)


# --- diseases ---------------------------------------------------------------------------

_EPONYMOUS = frozenset({"disease", "syndrome"})
# Endings of common nouns and adjectives of medicine, for words that no other name shows.
_COMMON_ENDING = re.compile(
    r"(?:ia|osis|itis|emia|aemia|oma|pathy|trophy|plasia|ism|uria|derma|sia|ency|ation|ure|tion|lysis"
    r"|cele|megaly|penia|rrhea|plegia|paresis|ectomy|ectasia|lethal|al|ic|ive|ary|ar|ous|form|ed|ent"
    r"|ac|phyma|stoma|genesis|dactyly|cephaly|chondrosis|ness|ity|(?<=\w{4})ase)$"
)
# "Dopamine beta-hydroxylase deficiency": what lacks, or does harm, is a substance and no person.
_OF_SUBSTANCE = frozenset({"deficiency", "poisoning", "intolerance", "allergy", "embryopathy"})
_SUBSTANCE_ENDING = re.compile(r"(?:ine|ate|ide|in|ol|ose|yl)$")
# A segment behind a comma that stands before the noun where nothing is inverted.
_MODIFIER = re.compile(
    r"(?:.*[\s-])?(?:\w+(?:al|ic|ive|ary|ory|ar|ous|ed|ing|ile|ent|ant|form|less|oid|genic|able)|adult"
    r"|linked|onset|severe|mild|acute|benign|diffuse|idiopathic|complex|simple|primary|congenita)",
    re.IGNORECASE,
)
_NUMBERED_MODIFIER = re.compile(r"(?P<words>.+?) (?P<number>\d+[A-Z]?)$", re.IGNORECASE)
_NUMBER = re.compile(r"(?:type )?(?:\d+[A-Z]*\d*|[IVX]+[A-Z]?)", re.IGNORECASE)
_MARKS = re.compile(r"[@{}\[\]?]")


def print_disease(names: Sequence[str], forms: WordForms) -> str:
    """The first name that is neither inverted nor long nor shouted, else the first that can be put
    in order, in the case that its words have in mid-sentence."""
    cleaned = [_MARKS.sub("", name).strip() for name in names]
    usable = [
        name
        for name in cleaned
        if "," not in name and not _is_shouted(name) and len(name.split()) <= _MAX_NAME_WORDS
    ]
    name = usable[0] if usable else cleaned[0]
    quiet = name.lower() if _is_shouted(name) else name
    return _restore_order(_print_sentence_case(quiet, forms))


def _is_shouted(name: str) -> bool:
    """Whether nearly all letters are capitals; an acronym is not shouted."""
    letters = [character for character in name if character.isalpha()]
    capitals = sum(character.isupper() for character in letters)
    return " " in name and capitals > _MIN_SHOUTED * len(letters)


def _restore_order(name: str) -> str:
    """ "Cardiomyopathy, dilated, 1K" as "dilated cardiomyopathy 1K". A list of findings ("ataxia,
    deafness, and cataract") and what is not sure to be inverted stay."""
    noun, *segments = name.split(", ")
    number, tail, modifiers = "", "", []
    for segment in segments:
        before, with_tail, after = segment.partition(" with ")
        numbered = _NUMBERED_MODIFIER.fullmatch(segment)
        if _NUMBER.fullmatch(segment):
            number = f" {segment}"
        elif segment.startswith(("with ", "without ", "due to ")):
            tail = f" {segment}"
        elif segment.endswith(" type"):
            tail = f", {segment}"
        elif segment.endswith(" of"):
            noun = f"{segment} {noun}"
        elif numbered and _MODIFIER.fullmatch(numbered["words"]):
            modifiers.append(numbered["words"])
            number = f" {numbered['number']}"
        elif with_tail and _MODIFIER.fullmatch(before):
            modifiers.append(before)
            tail = f" with {after}"
        elif _MODIFIER.fullmatch(segment):
            modifiers.append(segment)
        else:
            return name
    # A single word that has modifiers is a noun, and no person's name.
    if modifiers and noun.istitle() and " " not in noun and "-" not in noun:
        noun = noun.lower()
    return " ".join((*reversed(modifiers), noun)) + number + tail


def _print_sentence_case(name: str, forms: WordForms) -> str:
    words = _WORD.findall(name)
    is_title_case = _is_title_case(words)
    printed = {}
    for position, word in enumerate(words):
        usual = forms.usual_form(word)
        if not word[0].isalpha() or len(word) < 2:
            continue
        following = words[position + 1] if position + 1 < len(words) else ""
        if position == 0 and _is_of_substance(words):
            printed[position] = word.lower()
        elif position == 0 or is_title_case:
            printed[position] = _print_word(word, following.lower(), forms)
        elif usual and forms.share(word, usual) >= _MIN_MAJORITY:
            # "Niemann-pick", "ige": what OMIM shouts was put in small letters by a rule.
            printed[position] = usual
    return _replace_words(name, printed)


def _is_of_substance(words: Sequence[str]) -> bool:
    """Whether a disease is named after a substance, whose name comes first."""
    first, *others = words
    return (
        first.istitle()
        and first[:2].isalpha()  # "L-Arginine" is written so
        and _SUBSTANCE_ENDING.search(first) is not None
        and not _OF_SUBSTANCE.isdisjoint(others)
    )


def _print_word(word: str, following: str, forms: WordForms) -> str:
    """A word with a capital that the name's beginning or its style may have given it."""
    parts = [part for part in word.split("-") if part]
    if len(parts) > 1 and all(part.isdigit() or _is_small_part(part, forms) for part in parts):
        return word.lower()
    usual = forms.usual_form(word)
    if usual and not usual.islower():
        return usual
    if any(re.search("[A-Z]", part[1:]) for part in parts) and not usual:
        return word
    is_common = _COMMON_ENDING.search(word.lower()) is not None
    if following in _EPONYMOUS:
        return word.lower() if is_common or forms.is_small_before(word, following) else word
    return word.lower() if usual or is_common else word


def _is_small_part(part: str, forms: WordForms) -> bool:
    """Whether a part of a hyphenated word is a common noun; a letter is a symbol ("E-mediated")."""
    return len(part) > 1 and forms.is_small(part)


# --- drugs ------------------------------------------------------------------------------

# The elements whose isotopes are given or traced.
_ISOTOPE = re.compile(
    r"(C|N|O|F|P|I|Y|AT|CO|CR|CU|FE|GA|IN|KR|LU|RA|RB|SM|SR|TC|TL|XE|ZR)-(\d{1,3})(M?)"
)
# "Beta-1a", "Omega-3-acid" and "OMEGA-3ACID", no code such as "Gm-090" or "KINE-101".
_NUMBERED_NAME = re.compile(r"[A-Z][a-z]{3,}-\d\w*(?:-[a-z]+)*|[A-Z]{4,}-\d-?[A-Z]{3,}")
# A toxin's serotype ends the word, but for the letters of a later maker.
_SEROTYPE = re.compile(r"[A-Z](?:-[a-z]{4})?$")


def print_drug(name: str, forms: WordForms, *, is_generic: bool) -> str:
    """The name of a drug; ``is_generic`` where it is a name of DrugBank, not one that a trial may
    have for a brand or a code."""
    name = name.strip()
    if name.isupper() and len(name) <= _MAX_INITIALS + 1:
        return name
    return _WORD.sub(lambda match: _print_drug_word(match[0], name, forms, is_generic), name)


def _print_drug_word(word: str, name: str, forms: WordForms, is_generic: bool) -> str:
    isotope = _ISOTOPE.fullmatch(word)
    if isotope and " " in name:
        return f"{isotope[1].capitalize()}-{isotope[2]}{isotope[3].lower()}"
    if _NUMBERED_NAME.fullmatch(word):
        return word.lower()
    if len(word) == 1 or any(character.isdigit() for character in word):
        return word
    if name.isupper():
        is_code = " " not in name and re.search(r"\d", name)
        return word if is_code or not _VOWELS.search(word) else word.lower()
    if any(re.search("[A-Z]", part[1:]) for part in word.split("-")):
        # "IncobotulinumtoxinA" has a small letter in mid-sentence, "ToleroMune" has not.
        is_common = is_generic and _SEROTYPE.search(word) is not None
        return word[:1].lower() + word[1:] if is_common else word
    if is_generic or all(
        forms.is_small(part) or forms.is_drug_ending(part) for part in word.split("-")
    ):
        return word.lower()
    return word


# --- companies --------------------------------------------------------------------------

_LEGAL_FORM = re.compile(
    r"[,\s]+(?:incorporated|inc|llc|l\.l\.c|ltd|limited|lp|l\.p|llp|corporation|corp|co|gmbh|ag|sa|s\.a"
    r"|nv|n\.v|bv|b\.v|spa|s\.p\.a|srl|s\.r\.l|plc|zrt|asa|a/s|as|ab|oy|kg|se|pty|pvt|pte|kk)\.?$",
    re.IGNORECASE,
)
# What follows belongs to an owner, or to a former name.
_RELATION = re.compile(
    r"[,\s]+(?:an?\s+)?(?:indirect|wholly|subsidiary|sub|division|div|dba|fka)\b.*$"
    r"|\s*\((?:fka|dba)\b.*$",
    re.IGNORECASE,
)
# The abbreviations of Drugs@FDA and the Orange Book. "Pharm" may be of either number.
_ABBREVIATIONS = {
    "dermac": "Dermaceuticals",
    "grp": "Group",
    "hlth": "Health",
    "hlthcare": "Healthcare",
    "inds": "Industries",
    "intl": "International",
    "mfg": "Manufacturing",
    "natl": "National",
    "pharm": "Pharma",
    "pharms": "Pharmaceuticals",
    "prods": "Products",
    "res": "Research",
    "scis": "Sciences",
    "speclt": "Specialty",
    "therap": "Therapeutics",
    "theraps": "Therapeutics",
}
_SMALL_WORDS = frozenset({"of", "and", "for", "the", "de", "du", "di", "in"})


def print_company(names: Sequence[str], forms: WordForms) -> str:
    """The name that is best to read: not shouted, not abbreviated, without its legal form unless
    what is left is a common noun ("Target")."""
    best = min(range(len(names)), key=lambda place: _rank_company(names, place, forms))
    short = _shorten_company(names[best])
    if _is_common_noun(short, forms):
        return print_whole_company(names[best], forms)
    return print_company_words(short, forms)


def print_whole_company(name: str, forms: WordForms) -> str:
    """A name with its legal form, where the shorter one is that of several."""
    return print_company_words(name.rstrip(". "), forms)


def _shorten_company(name: str) -> str:
    short = _RELATION.sub("", name)
    while (shorter := _LEGAL_FORM.sub("", short)) != short and shorter:
        short = shorter
    return short.rstrip(",. ") or name


def _rank_company(names: Sequence[str], place: int, forms: WordForms) -> tuple[bool, ...]:
    """False first: what a reader would stumble over, the worst first."""
    name = _shorten_company(names[place])
    is_initials = any(name.casefold() == _initials(other) for other in names)
    is_abbreviated = any(word.casefold() in _ABBREVIATIONS for word in name.split())
    is_shouted = name.isupper()
    return _is_common_noun(name, forms), is_initials, is_abbreviated, is_shouted, bool(place)


def _is_common_noun(name: str, forms: WordForms) -> bool:
    return " " not in name and forms.is_small(name)


def _initials(name: str) -> str:
    return "".join(word[0] for word in name.split()).casefold()


def print_company_words(name: str, forms: WordForms) -> str:
    """The words of a name, each in its case."""
    is_shouted = name.isupper()
    words = name.split(" ")
    printed = [_print_company_word(word, is_shouted, forms) for word in words]
    printed[0] = printed[0][:1].upper() + printed[0][1:] if is_shouted else printed[0]
    return " ".join(printed)


def _print_company_word(word: str, is_shouted: bool, forms: WordForms) -> str:
    folded = word.casefold()
    if not is_shouted:
        return word
    if folded in _ABBREVIATIONS:
        return _ABBREVIATIONS[folded]
    if folded in _SMALL_WORDS:
        return folded
    usual = forms.usual_company_form(word)
    if usual:
        return usual
    if not _VOWELS.search(word) or (len(word) <= _MAX_INITIALS and not forms.is_small(word)):
        return word
    return re.sub(r"[^\W\d]+", lambda match: match[0].capitalize(), word)


# --- persons ----------------------------------------------------------------------------

_DEGREES = re.compile(
    r"(?:,?\s+(?:M\.?D|Ph\.?\s?D|M\.?Sc|M\.?P\.?H|M\.?S|B\.?Sc|Dr\.?\s?P\.?H|D\.?O|D\.?Sc|Pharm\.?\s?D"
    r"|R\.?N|FRCP\w?|FACP|MBBS|PI)\b\.?)+$"
)


def print_person(name: str) -> str:
    """A person's name without degrees behind it."""
    return _DEGREES.sub("", name).rstrip(", ") or name
