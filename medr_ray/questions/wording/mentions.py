"""How questions mention what they name: entities, dates and categories; and what a mention means.

``Mentions.word`` and ``Mentions.find`` are each other's inverse. Names are printed as people write
them: a company without shouting, a drug and most diseases in small letters, a trial by its number.
"""

import calendar
import re
from collections.abc import Sequence

from medr_ray.core.records import Language, LiteralValue, NodeType
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.graph.facts.registry_relations import make_value_id, print_value
from medr_ray.knowledge.hpo import load_hpo

_VALUE_PREFIX = "VALUE:"
# Types that are mentioned by their number: the prefix of the id, and the words around the number.
_NUMBERED = {
    "trial": ("NCT:", "trial {}", "临床试验{}"),
    "paper": ("PMID:", "the paper with PMID {}", "PMID为{}的论文"),
    "application": ("FDA:", "{}", "{}"),
    "patent": ("PATENT:", "US patent {}", "美国专利{}"),
}
_APPLICATION_NUMBER = re.compile(r"(NDA|BLA|ANDA)0*(\d+)")
_MAX_TITLE_WORDS = 14  # a longer title would fill the question
_MAX_NAME_WORDS = 9
_LEGAL_FORMS = {"llc": "LLC", "lp": "LP", "sa": "SA", "ag": "AG", "usa": "USA", "us": "US"}
# Endings of names of diseases that are common nouns, which a person writes with a small letter.
_COMMON_ENDING = re.compile(
    r"(?:ia|osis|itis|emia|aemia|oma|pathy|trophy|plasia|ism|uria|derma|sia|ency|ation|ure|tion|lysis"
    r"|cele|megaly|penia|rrhea|plegia|paresis|ectomy|ectasia|lethal|al|ic|ive|ary|ar|ous|form|ed|ent"
    r"|ia,)$"
)
_PROPER_WORD = re.compile(r"\d|[A-Z].*[A-Z]|'s$")
_MODE_SUFFIX = " inheritance"
_MONTHS = tuple(calendar.month_name)[1:]


class Mentions:
    """The mentions of one language over the facts of a run."""

    def __init__(self, table: FactTable, language: Language = "en") -> None:
        self._table = table
        self._language = language

    # --- words ------------------------------------------------------------------------

    def word(self, value_id: str) -> str:
        """How a question mentions an entity or a typed value."""
        if value_id.startswith(_VALUE_PREFIX):
            return self._word_value(value_id)
        entity_type = self._type_of(value_id)
        if entity_type in _NUMBERED:
            return self._word_number(value_id, entity_type)
        if entity_type == "value":
            return self._word_mode(value_id)
        return self.display_name(value_id)

    def display_name(self, entity_id: str) -> str:
        """The name of an entity as a person writes it in the middle of a sentence."""
        names = self._table.names_of(entity_id)
        entity_type = self._type_of(entity_id)
        if not names:
            return entity_id.partition(":")[2]
        if entity_type in ("company", "institution"):
            return _print_company(names)
        if entity_type in ("drug", "substance"):
            return _print_drug(names[0])
        if entity_type in ("disease", "phenotype"):
            return _print_disease(names)
        return names[0]

    def _type_of(self, entity_id: str) -> NodeType | None:
        return self._table.type_of(entity_id)

    def _word_number(self, entity_id: str, entity_type: str) -> str:
        prefix, english, chinese = _NUMBERED[entity_type]
        number = entity_id.removeprefix(prefix)
        if entity_type == "application":
            number = _APPLICATION_NUMBER.sub(lambda match: f"{match[1]} {match[2]:>06}", number)
        if entity_type == "paper":
            title = self._title_of(entity_id)
            if title:
                return f"论文《{title}》" if self._language == "zh" else f"the paper “{title}”"
        return (chinese if self._language == "zh" else english).format(number)

    def _title_of(self, paper: str) -> str:
        names = self._table.names_of(paper)
        title = names[0].rstrip(".") if names else ""
        # A title in square brackets is a translation that the paper itself does not have.
        is_usable = 3 <= len(title.split()) <= _MAX_TITLE_WORDS and not title.startswith("[")
        return title if is_usable and "“" not in title else ""

    def _word_value(self, value_id: str) -> str:
        return print_value(value_id)[0]

    def _word_mode(self, value_id: str) -> str:
        names = self._table.names_of(value_id) or (load_hpo().terms[value_id].name,)
        name = names[0].removesuffix(_MODE_SUFFIX)
        return name if name.startswith("X") else name[:1].lower() + name[1:]

    # --- meaning ----------------------------------------------------------------------

    def find(self, text: str, step_type: str) -> Sequence[str]:
        """The ids that a text may mention as a value of that type; () where it is none."""
        if step_type in ("date", "year"):
            return _find_date(text)
        if step_type == "category":
            return [make_value_id(LiteralValue("category", text))]
        if step_type == "text":
            return [make_value_id(LiteralValue("text", text))]
        if step_type in _NUMBERED:
            return self._find_number(text, step_type)
        return [
            entity_id
            for entity_id in self._table.find_by_name(text)
            if fits_type(self._type_of(entity_id), step_type)
        ]

    def _find_number(self, text: str, step_type: str) -> Sequence[str]:
        prefix, english, chinese = _NUMBERED[step_type]
        template = chinese if self._language == "zh" else english
        before, _, after = template.partition("{}")
        if step_type == "paper":
            quoted = re.fullmatch("论文《(.+)》|the paper “(.+)”", text)
            if quoted:
                title = quoted[1] or quoted[2]
                return [i for i in self._table.find_by_name(title) if i.startswith(prefix)] or [
                    i for i in self._table.find_by_name(f"{title}.") if i.startswith(prefix)
                ]
        pattern = f"{re.escape(before)}(.+){re.escape(after)}"
        match = re.fullmatch(pattern, text, re.IGNORECASE)
        if match is None:
            return ()
        number = match[1]
        if step_type == "application":
            number = re.sub(r"^(NDA|BLA|ANDA) ", r"\1", number)
        entity_id = f"{prefix}{number}"
        return [entity_id] if self._table.type_of(entity_id) == step_type else ()


def fits_type(entity_type: str | None, step_type: str) -> bool:
    """Whether an entity can be the value of a step of that type: a sponsor may be an institution,
    a registry's substance is a drug."""
    if step_type == "company":
        return entity_type in ("company", "institution", "person")
    if step_type == "drug":
        return entity_type in ("drug", "substance")
    return entity_type == step_type


def _find_date(text: str) -> Sequence[str]:
    match = re.fullmatch(r"(?:(?:(\d{1,2}) )?([A-Z][a-z]+) )?(\d{4})", text)
    if match is None or (match[2] and match[2] not in _MONTHS):
        return ()
    iso = match[3]
    if match[2]:
        iso += f"-{_MONTHS.index(match[2]) + 1:02}"
    if match[1]:
        iso += f"-{int(match[1]):02}"
    return [make_value_id(LiteralValue("date", iso))]


def _print_company(names: Sequence[str]) -> str:
    """A name in mixed letters where a registry prints one, else the first in mixed letters."""
    for name in names:
        if not name.isupper() and not name.islower():
            return name
    return " ".join(map(_print_company_word, names[0].split()))


def _print_company_word(word: str) -> str:
    folded = word.casefold()
    if folded in _LEGAL_FORMS:
        return _LEGAL_FORMS[folded]
    return word if len(word) <= 2 or not word.isupper() else word.capitalize()


def _print_drug(name: str) -> str:
    if name.isupper() and not any(char.isdigit() for char in name):
        return name.lower()
    first, _, rest = name.partition(" ")
    small = first if _PROPER_WORD.search(first[1:]) or len(first) < 4 else first.lower()
    return f"{small} {rest}".rstrip()


def _print_disease(names: Sequence[str]) -> str:
    """The first name that is neither inverted ("anemia, hemolytic") nor long nor shouted."""
    usable = [
        name
        for name in names
        if "," not in name and not name.isupper() and len(name.split()) <= _MAX_NAME_WORDS
    ]
    name = usable[0] if usable else names[0]
    if name.isupper():
        name = name.lower()
    first, _, rest = name.partition(" ")
    if _is_common_noun(first):
        first = first[:1].lower() + first[1:]
    return f"{first} {rest}".rstrip()


def _is_common_noun(word: str) -> bool:
    if _PROPER_WORD.search(word[1:]) or any(char.isdigit() for char in word):
        return False
    return _COMMON_ENDING.search(word.lower()) is not None
