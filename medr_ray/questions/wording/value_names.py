"""The names of typed values and of the closed sets of terms, in English and Chinese: dates, numbers
with their unit, categories, modes of inheritance, periods of onset.

The Chinese words are those of ``value_names.json`` beside this module: by the source's own word for
categories and countries, by the id for terms of HPO, by the unit for numbers. The first is how a
question mentions the value, the others are right as an answer too.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from medr_ray.core.prompts import read_package_json
from medr_ray.core.records import Language, LiteralValue
from medr_ray.graph.facts.registry_relations import make_value_id, print_date, print_value

VALUE_PREFIX = "VALUE:"
_INHERITANCE_SUFFIX = " inheritance"
_ONSET_SUFFIX = " onset"
# What LiverTox's sentence on a score ends with.
_INJURIES = ("", " of liver injury", " of clinically apparent liver injury")
# A score with the mark of high doses has the meaning of the score, at such doses.
_HIGH_DOSE = re.compile(r"([A-E])\[HD\]")
_CHINESE_DATE = re.compile(r"(\d{4})年(?:(\d{1,2})月(?:(\d{1,2})日)?)?")


@dataclass(frozen=True)
class ValueNames:
    """What a value is called in the two languages, the usual name first in each."""

    english: tuple[str, ...]
    chinese: tuple[str, ...]

    def order(self, language: Language) -> tuple[str, ...]:
        """All names, those of the language first."""
        both = (self.chinese, self.english) if language == "zh" else (self.english, self.chinese)
        return tuple(dict.fromkeys(name for names in both for name in names))


def name_value(value_id: str) -> ValueNames:
    """The names of a typed value."""
    kind, _, text = value_id.removeprefix(VALUE_PREFIX).partition("/")
    name, spellings = print_value(value_id)
    english = (name, *spellings)
    if kind == "date":
        return ValueNames(english, (print_chinese_date(text),))
    if kind == "number":
        return ValueNames(english, _name_number(text) or english)
    if kind == "category":
        return _name_category(text, english)
    return ValueNames(english, english)


def name_term(term_id: str, names: Sequence[str]) -> ValueNames:
    """The names of a term of HPO that is the value of a closed set; ``names`` are the English ones
    of the records. A term that is of no such set has no Chinese name."""
    entry = _load_tables()["terms"].get(term_id, {"english": (), "chinese": ()})
    english = [_print_term(name) for name in names]
    english += [*names, *entry["english"]]
    return ValueNames(tuple(dict.fromkeys(english)), tuple(entry["chinese"]))


def print_chinese_date(iso_date: str) -> str:
    """An ISO date of any precision: "2019年8月12日", "2019年8月", "2019年"."""
    parts = [str(int(part)) for part in iso_date.split("-")]
    return "".join(part + unit for part, unit in zip(parts, "年月日", strict=False))


def word_date(iso_date: str, language: Language) -> str:
    """An ISO date of any precision in the words of a language."""
    return print_chinese_date(iso_date) if language == "zh" else print_date(iso_date)


def find_chinese_date(text: str) -> Sequence[str]:
    """The id of the date that a text is in Chinese; () where it is none."""
    match = _CHINESE_DATE.fullmatch(text)
    if match is None:
        return ()
    parts = [f"{int(part):02}" for part in match.groups() if part]
    return [make_value_id(LiteralValue("date", "-".join(parts)))]


@functools.cache
def _load_tables() -> Mapping[str, Mapping[str, Any]]:
    return cast(
        Mapping[str, Mapping[str, Any]],
        read_package_json("medr_ray.questions.wording", "value_names.json"),
    )


def _print_term(name: str) -> str:
    """A term as it stands in a sentence: "autosomal recessive", "X-linked", "neonatal"."""
    short = name.removesuffix(_INHERITANCE_SUFFIX).removesuffix(_ONSET_SUFFIX)
    # The letter of a sex chromosome stays a capital.
    return short if short[1:2] == "-" else short[:1].lower() + short[1:]


def _name_number(text: str) -> tuple[str, ...]:
    """The Chinese names of a number with its unit; () where the unit is of no closed set."""
    figure, _, unit = text.partition(" ")
    templates = _load_tables()["units"].get(unit, ())
    return tuple(template.format(figure) for template in templates)


def _name_category(text: str, english: Sequence[str]) -> ValueNames:
    tables = _load_tables()
    if text in tables["categories"]:
        entry = tables["categories"][text]
        return ValueNames((*english, *entry["english"]), tuple(entry["chinese"]))
    if text in tables["countries"]:
        return ValueNames(tuple(english), (tables["countries"][text],))
    high_dose = _HIGH_DOSE.fullmatch(text)
    if high_dose or text in tables["likelihoods"]:
        return _name_likelihood(text, high_dose[1] if high_dose else text)
    return ValueNames(tuple(english), tuple(english))


def _name_likelihood(text: str, score: str) -> ValueNames:
    """A score of LiverTox, alone, with what it means, and what it means alone. Where the score is
    of high doses, its meaning alone would be another answer."""
    entry = _load_tables()["likelihoods"][score]
    english = [f"{gloss} cause{injury}" for gloss in entry["english"] for injury in _INJURIES]
    chinese = list(entry["chinese"])
    if text == score:
        return ValueNames(
            (text, *(f"{text} ({gloss})" for gloss in english), *english),
            (
                text,
                f"{text}级",
                f"{text}类",
                *(f"{text}（{gloss}）" for gloss in chinese),
                *chinese,
            ),
        )
    english = [f"{text} ({gloss} in high doses)" for gloss in english]
    chinese = [f"{text}（高剂量时{gloss}）" for gloss in chinese]
    return ValueNames((text, *english), (text, f"{text}级", f"{text}类", *chinese))
