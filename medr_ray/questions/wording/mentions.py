"""How questions mention what they name: entities, dates and categories; and what a mention means.

``Mentions.word`` and ``Mentions.find`` are each other's inverse, but for a name that several
entities share (``Mentions.is_ambiguous``). English names are printed as people write them: a
company without shouting, a drug and most diseases in small letters, a trial by its number.

There is no complete source of Chinese names. A Chinese mention therefore puts the English name in
brackets behind the noun for its type: 药物（avapritinib）. Genes keep their symbol; the words of
closed sets are Chinese.
"""

import calendar
import functools
import re
from collections.abc import Mapping, Sequence

from medr_ray.core.records import Language, LiteralValue, NodeType
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.questions.steps.kinds import StepType
from medr_ray.questions.wording.display_names import (
    WordForms,
    print_company,
    print_disease,
    print_drug,
    print_person,
    print_whole_company,
)
from medr_ray.questions.wording.value_names import (
    VALUE_PREFIX,
    ValueNames,
    find_chinese_date,
    name_term,
    name_value,
)

# Types that are mentioned by their number: the prefix of the id, and the words around the number.
_NUMBERED: Mapping[str, tuple[str, str, str]] = {
    "trial": ("NCT:", "trial {}", "临床试验{}"),
    "paper": ("PMID:", "the paper with PMID {}", "论文（PMID {}）"),
    "application": ("FDA:", "{}", "申请（{}）"),
    "patent": ("PATENT:US", "US patent {}", "美国第{}号专利"),
}
# The Chinese nouns in front of names in brackets, and behind the symbols of genes.
_CHINESE_NAMED = {
    "drug": "药物（{}）",
    "substance": "药物（{}）",
    "disease": "疾病（{}）",
    "phenotype": "症状（{}）",
    "company": "公司（{}）",
    "institution": "机构（{}）",
    "person": "研究者（{}）",
    "journal": "期刊（{}）",
    "product": "产品（{}）",
    "label": "药品说明书（{}）",
    "gene": "{}基因",
}
_TITLED = {"en": "the paper “{}”", "zh": "论文《{}》"}
_APPLICATION_NUMBER = re.compile(r"(NDA|BLA|ANDA)0*(\d+)")
_APPLICATION_DIGITS = 6
_MAX_TITLE_WORDS = 14  # a longer title would fill the question
_ORGANISATIONS = ("company", "institution")
_MONTHS = tuple(calendar.month_name)[1:]
# Types whose display name may differ from every name of the records.
_REWRITTEN = ("company", "institution", "drug", "substance", "disease", "phenotype", "person")


class Mentions:
    """The mentions of one language over the facts of a run."""

    def __init__(self, table: FactTable, language: Language = "en") -> None:
        self._table = table
        self._language: Language = language

    # --- words ------------------------------------------------------------------------

    def word(self, value_id: str) -> str:
        """How a question mentions an entity or a typed value."""
        names = self._name_closed(value_id)
        if names is not None:
            return names.order(self._language)[0]
        entity_type = self._type_of(value_id) or ""
        if entity_type in _NUMBERED:
            return self._word_number(value_id, entity_type)
        name = self.display_name(value_id)
        if self._language == "zh":
            return _enclose_name(name, entity_type)
        return re.sub(r"^The (?=\w)", "the ", name) if entity_type in _ORGANISATIONS else name

    def display_name(self, entity_id: str) -> str:
        """The name of an entity as a person writes it in the middle of an English sentence."""
        name = self._print_name(entity_id)
        if self.has_namesake(entity_id):
            longest = max(self._table.names_of(entity_id), key=len)
            return print_whole_company(longest, self._forms)
        return name

    def has_namesake(self, entity_id: str) -> bool:
        """Whether another company has the same name but for its legal form."""
        # A table may know an entity that none of its records names.
        namesakes = self._organisations.get(self._print_name(entity_id), ())
        return self._type_of(entity_id) in _ORGANISATIONS and len(namesakes) > 1

    def _print_name(self, entity_id: str) -> str:
        names = self._table.names_of(entity_id)
        entity_type = self._type_of(entity_id)
        if not names:
            return entity_id.partition(":")[2]
        if entity_type in _ORGANISATIONS:
            return print_company(names, self._forms)
        if entity_type in ("drug", "substance"):
            return print_drug(names[0], self._forms, is_generic=entity_type == "drug")
        if entity_type in ("disease", "phenotype"):
            return print_disease(names, self._forms)
        return print_person(names[0]) if entity_type == "person" else names[0]

    @functools.cached_property
    def _forms(self) -> WordForms:
        return WordForms(self._table.entities.values())

    @functools.cached_property
    def _organisations(self) -> Mapping[str, Sequence[str]]:
        """The companies and institutions by their names as printed."""
        printed: dict[str, list[str]] = {}
        for entity_id, entity in self._table.entities.items():
            if entity.entity_type in _ORGANISATIONS:
                printed.setdefault(self._print_name(entity_id), []).append(entity_id)
        return printed

    def answer_names(self, value_id: str) -> tuple[str, tuple[str, ...]]:
        """The name of an answer in the language of the question, and the other names that are
        right: those of the other language, numbers without their unit, other ways to write a date
        or a registry's number."""
        names = self._list_answer_names(value_id)
        return names[0], tuple(names[1:])

    def _list_answer_names(self, value_id: str) -> list[str]:
        closed = self._name_closed(value_id)
        if closed is not None:
            return list(closed.order(self._language))
        entity_type = self._type_of(value_id) or ""
        names = list(self._table.names_of(value_id))
        if entity_type == "paper":
            number = _list_numbers(value_id, entity_type)[0]
            names = [f"PMID {number}", number, *names]
        elif entity_type in _NUMBERED:
            names = [*_list_numbers(value_id, entity_type), *names]
        else:
            names.insert(0, self.display_name(value_id))
        if entity_type == "gene":
            names.append(f"{names[0]} gene")
        return list(dict.fromkeys((*names, _enclose_name(names[0], entity_type))))

    def _name_closed(self, value_id: str) -> ValueNames | None:
        """The names of a typed value or of a term of a closed set; None of any other entity."""
        if value_id.startswith(VALUE_PREFIX):
            return name_value(value_id)
        if self._type_of(value_id) == "value":
            return name_term(value_id, self._table.names_of(value_id))
        return None

    def _type_of(self, entity_id: str) -> NodeType | None:
        return self._table.type_of(entity_id)

    def _word_number(self, entity_id: str, entity_type: str) -> str:
        if entity_type == "paper":
            title = self._title_of(entity_id)
            if title:
                return _TITLED[self._language].format(title)
        return _word_template(entity_type, self._language).format(
            _list_numbers(entity_id, entity_type)[0]
        )

    def _title_of(self, paper: str) -> str:
        names = self._table.names_of(paper)
        title = names[0].rstrip(".") if names else ""
        # A title in square brackets is a translation that the paper itself does not have.
        is_usable = 3 <= len(title.split()) <= _MAX_TITLE_WORDS and not title.startswith("[")
        return title if is_usable and not re.search("[“”《》]", title) else ""

    # --- meaning ----------------------------------------------------------------------

    def find(self, text: str, step_type: str) -> Sequence[str]:
        """The ids that a text may mention as a value of that type; () where it is none."""
        if step_type in ("date", "year"):
            return find_chinese_date(text) if self._language == "zh" else _find_date(text)
        if step_type == "category":
            return self._categories.get(text.casefold(), ())
        if step_type == "text":
            return [make_value_id(LiteralValue("text", text))]
        if step_type == "value":
            return self._terms.get(text.casefold(), ())
        if step_type in _NUMBERED:
            return self._find_number(text, step_type)
        return self._find_named(text, step_type)

    def is_ambiguous(self, value_id: str, step_type: StepType) -> bool:
        """Whether the mention of a value may mean another one too, or is not understood: a name
        that several entities share."""
        word = self.word(value_id)
        # A registry's list of ingredients was cut within brackets.
        if word.count("(") != word.count(")"):
            return True
        return list(self.find(word, step_type)) != [value_id]

    def _find_named(self, text: str, step_type: str) -> Sequence[str]:
        if self._language == "en":
            return self._find_english(text, step_type, None)
        entity_ids = [
            entity_id
            for entity_type, template in _CHINESE_NAMED.items()
            if (name := _strip_template(template, text))
            for entity_id in self._find_english(name, step_type, entity_type)
        ]
        # A model may write a name without the noun and the brackets.
        return list(dict.fromkeys(entity_ids)) or self._find_english(text, step_type, None)

    def find_entities(self, name: str) -> list[str]:
        """The entities of any type that have the name, or that a question mentions by it."""
        entity_ids = (*self._table.find_by_name(name), *self._displayed.get(fold_name(name), ()))
        return list(dict.fromkeys(entity_ids))

    def _find_english(self, name: str, step_type: str, only_type: str | None) -> list[str]:
        fitting = [
            entity_id
            for entity_id in self.find_entities(name)
            if fits_type(self._type_of(entity_id), step_type)
            and (only_type is None or self._type_of(entity_id) == only_type)
        ]
        # "AstraZeneca" is the company that goes by this name, and not its subsidiaries for which
        # a registry has it as a short name.
        usual = [i for i in fitting if fold_name(self.display_name(i)) == fold_name(name)]
        return usual or fitting

    @functools.cached_property
    def _displayed(self) -> Mapping[str, Sequence[str]]:
        """The entities by their display name, folded, where no record has it."""
        displayed: dict[str, list[str]] = {}
        for entity_id, entity in self._table.entities.items():
            if entity.entity_type in _REWRITTEN:
                name = self.display_name(entity_id)
                is_recorded = name in entity.names or entity_id in self._table.find_by_name(name)
                if not is_recorded:
                    displayed.setdefault(fold_name(name), []).append(entity_id)
        return displayed

    @functools.cached_property
    def _categories(self) -> Mapping[str, Sequence[str]]:
        """The categories of the facts by how they are mentioned, without regard to case."""
        categories: dict[str, list[str]] = {}
        for value_id in self._table.list_values("category"):
            categories.setdefault(self.word(value_id).casefold(), []).append(value_id)
        return categories

    @functools.cached_property
    def _terms(self) -> Mapping[str, Sequence[str]]:
        """The terms of closed sets by their names in the language, without regard to case."""
        terms: dict[str, list[str]] = {}
        for term_id, entity in self._table.entities.items():
            if entity.entity_type == "value":
                names = name_term(term_id, entity.names)
                own = names.chinese if self._language == "zh" else names.english
                for name in dict.fromkeys(map(str.casefold, own)):
                    terms.setdefault(name, []).append(term_id)
        return terms

    def _find_number(self, text: str, step_type: str) -> Sequence[str]:
        if step_type == "paper":
            title = _strip_template(_TITLED[self._language], text)
            if title:
                return self._find_title(title)
        number = _strip_template(_word_template(step_type, self._language), text)
        if not number:
            return ()
        if step_type == "application":
            number = re.sub(r"^(NDA|BLA|ANDA) ", r"\1", number)
        entity_id = f"{_NUMBERED[step_type][0]}{number}"
        return [entity_id] if self._type_of(entity_id) == step_type else ()

    def _find_title(self, title: str) -> Sequence[str]:
        papers = [*self._table.find_by_name(title), *self._table.find_by_name(f"{title}.")]
        return [paper for paper in dict.fromkeys(papers) if self._type_of(paper) == "paper"]


def _word_template(entity_type: str, language: Language) -> str:
    _, english, chinese = _NUMBERED[entity_type]
    return chinese if language == "zh" else english


def _enclose_name(name: str, entity_type: str) -> str:
    return _CHINESE_NAMED.get(entity_type, "{}").format(name)


def _strip_template(template: str, text: str) -> str:
    """What stands in the place of a template's {}; "" where the text is not of the template."""
    before, _, after = template.partition("{}")
    pattern = f"{re.escape(before)}(.+){re.escape(after)}"
    match = re.fullmatch(pattern, text, re.IGNORECASE)
    return match[1] if match else ""


def _list_numbers(entity_id: str, entity_type: str) -> list[str]:
    """A registry's number as questions print it, and its other spellings."""
    number = entity_id.removeprefix(_NUMBERED[entity_type][0])
    if entity_type == "application":
        match = _APPLICATION_NUMBER.fullmatch(number)
        if match is None:
            return [number]
        digits = match[2].zfill(_APPLICATION_DIGITS)
        return [f"{match[1]} {digits}", number, digits, match[2]]
    if entity_type == "patent":
        grouped = f"{int(number):,}" if number.isdecimal() else number
        return list(dict.fromkeys((number, f"US{number}", f"US {number}", grouped)))
    return [number]


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
