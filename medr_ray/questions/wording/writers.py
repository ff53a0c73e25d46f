"""Paths put into words: the start is named (or described), everything on the way only by what leads
to it.

Both writers are given whole batches and answer in order. The rules writer nests short paths ("the
mode of inheritance of the disease associated with ...") and tells longer ones step by step; the
``llm`` writer (``model_writing``) may word them freely, and its text passes the same verification.
Wording of the relations: ``knowledge.predicates``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from medr_ray.core.errors import DataError
from medr_ray.core.records import Entity, Language
from medr_ray.graph.facts.fact_index import Clause
from medr_ray.graph.facts.hops import Hop
from medr_ray.knowledge.predicates import (
    CHINESE_WORDING,
    DISEASE,
    DRUG,
    GENE,
    PHENOTYPE,
    PREDICATES,
    directed,
)
from medr_ray.knowledge.published_reports import field_told, is_report, journal_of, years_of_report
from medr_ray.questions.drafting.obfuscation import Description
from medr_ray.questions.drafting.question_paths import Path

_THAT = {DISEASE: "that disease", GENE: "that gene", PHENOTYPE: "that finding", DRUG: "that drug"}
_THAT_ZH = {DISEASE: "该疾病", GENE: "该基因", PHENOTYPE: "该表现", DRUG: "该药物"}
_CHOICES_ZH = {
    "earliest": "起病最早",
    "latest": "起病最晚",
    "largest": "比例最高",
    "smallest": "比例最低",
}
_NESTED_HOPS = 2  # more "of the ... of the ..." than this is no longer read at once


@dataclass(frozen=True)
class Draft:
    """What a writer is asked to word: the path, and the start's description where it is not to be
    named."""

    path: Path
    description: Description | None = None
    obfuscation: int = 0


@dataclass(frozen=True)
class Written:
    """A writer's result: the question, or "" with the problem that kept it from being written."""

    text: str
    problem: str = ""


class QuestionWriter(Protocol):
    """The question writer's role."""

    name: str

    def write(self, drafts: Sequence[Draft]) -> list[Written]:
        """A question for each draft, in order; what a model could not word comes back with its
        problem."""
        ...


def is_nested(path: Path) -> bool:
    """Whether the path is short and plain enough for one nested phrase."""
    if len(path.hops) > 1 and any(
        is_report(hop.clinical) for hop in path.hops
    ):  # whose report, would not be clear
        return False
    return (
        len(path.hops) <= _NESTED_HOPS
        and not path.second
        and path.asked == "entity"
        and not path.clauses
    )


class EnglishRules:
    """English: "What is the mode of inheritance of the disease associated with …?", or step by
    step: "Begin with …. Then take the gene associated with that disease. What is …?"."""

    name = "rules"

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self._entities = entities

    def write(self, drafts: Sequence[Draft]) -> list[Written]:
        return [Written(self._question(draft)) for draft in drafts]

    def _question(self, draft: Draft) -> str:
        path, start = draft.path, self._start(draft)
        if is_nested(path):
            return f"What is {self.noun_phrase(draft)}?"
        steps, known = self._steps(path.hops[:-1], start)
        last = path.hops[-1]
        if path.asked == "share":
            return self._share(path, steps, self._onward(last, known), start)
        if path.asked != "entity":
            return f"{steps}{self._choice(path, known)}"
        if path.second:
            return self._meeting(path, start)
        return f"{steps}What is {self._onward(last, known)}?"

    def noun_phrase(self, draft: Draft) -> str:
        """What the answer is, as "the … of the … of <start>"."""
        words = self._start(draft)
        for hop in draft.path.hops:
            words = self._step(hop, words)
        return words

    def _steps(self, hops: Sequence[Hop], start: str, opening: str = "Begin") -> tuple[str, str]:
        """(the sentences that lead over ``hops``, how the entity they lead to is called)."""
        text, known = "", start
        for number, hop in enumerate(hops):
            taken = (
                ("Then take" if number % 2 == 0 else "Next, take") if number else f"{opening} with"
            )
            text += f"{taken} {self._onward(hop, known)}. "
            known = _THAT[self._entities[hop.target].entity_type]
        return text, known

    def _meeting(self, path: Path, start: str) -> str:
        """Two walks, and what lies at the end of both."""
        text, ends = "", []
        for hops, named, letter in (
            (path.hops, start, "A"),
            (path.second, self.named(path.second[0].known), "B"),
        ):
            steps, known = self._steps(hops[:-1], named, "Begin again" if text else "Begin")
            if steps:
                known = f"{known.removeprefix('that ')} {letter}"
                text += f"{steps.rstrip()[:-1]}: this is {known}. "
            ends.append(self._step(hops[-1], known))
        return f"{text}What is both {ends[0]}{_comma(path.hops[-1])} and {ends[1]}?"

    def _onward(self, hop: Hop, known: str) -> str:
        return self._step(hop, known) + self._told(hop)

    def _step(self, hop: Hop, known: str) -> str:
        predicate = PREDICATES[hop.predicate]
        words = (predicate.name_object if hop.forward else predicate.name_subject)(
            known, hop.clinical
        )
        return f"the {'other ' if hop.other else ''}{words}{f', as {hop.clinical}' if is_report(hop.clinical) else ''}"

    def _told(self, hop: Hop) -> str:
        """ " (the one whose age of onset is … and that …)", or nothing."""
        told = [self._clause(one) for one in hop.also]
        return f" (the one {' and '.join(told)})" if told else ""

    def _clause(self, clause: Clause) -> str:
        return PREDICATES[clause.predicate].describe(
            self.named(clause.other), clause.forward, clause.clinical
        )

    def _share(self, path: Path, steps: str, last: str, start: str) -> str:
        finding = self.named(path.about[0].other)
        if steps:
            return f"{steps}Then take {last}. In what share of patients with that disease is {finding} found?"
        return f"In what share of patients with {last}{_comma(path.hops[-1])} is {finding} found?"

    def _choice(self, path: Path, known: str) -> str:
        group = self._step(path.hops[-1], known).replace("the disease", "the diseases", 1)
        group = group.replace("the other disease", "the other diseases", 1)
        if path.asked in ("earliest", "latest"):
            return f"Of {group} whose age of onset is stated, which begins {path.asked} in life?"
        finding = self.named(path.about[0].other)
        return (
            f"Of {group} for which the share of patients with {finding} is stated, which shows it in the "
            f"{path.asked} share of patients?"
        )

    def _start(self, draft: Draft) -> str:
        if draft.description is not None:
            return draft.description.english(self._entities)
        return self.named(draft.path.start)

    def named(self, entity_id: str) -> str:
        """An entity by its name; a gene is called one, for its symbol may be a word."""
        entity = self._entities[entity_id]
        return f"the gene {entity.name}" if entity.entity_type == GENE else entity.name


def _comma(hop: Hop) -> str:
    """What closes the words of a hop that are followed by others."""
    return "," if is_report(hop.clinical) and not hop.also else ""


class ChineseRules:
    """The same in Chinese; names stay as the documents print them."""

    name = "rules"

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self._entities = entities

    def write(self, drafts: Sequence[Draft]) -> list[Written]:
        return [Written(self._question(draft)) for draft in drafts]

    def _question(self, draft: Draft) -> str:
        path = draft.path
        if is_nested(path):
            return f"{self.noun_phrase(draft)}是什么？"
        steps, known = self._steps(path.hops[:-1], self._start(draft), "从")
        last = path.hops[-1]
        if path.asked == "share":
            finding = self.named(path.about[0].other)
            return (
                f"{steps}取{self._onward(last, known)}。{finding}在该疾病患者中出现的比例是多少？"
            )
        if path.asked != "entity":
            return f"{steps}{self._choice(path, known)}"
        if path.second:
            second, other = self._steps(path.second[:-1], self.named(path.second[0].known), "另从")
            return f"{steps}{second}既是{self._step(last, known)}、又是{self._onward(path.second[-1], other)}的是什么？"
        return f"{steps}{self._onward(last, known)}是什么？"

    def noun_phrase(self, draft: Draft) -> str:
        """What the answer is, as "<start>的…的…"."""
        words = self._start(draft)
        for hop in draft.path.hops:
            words = self._step(hop, words)
        return words

    def _steps(self, hops: Sequence[Hop], start: str, opening: str) -> tuple[str, str]:
        if not hops:
            return "", start
        text, known = f"{opening}{start}出发。", start
        for hop in hops:
            text += f"取{self._onward(hop, known)}。"
            known = _THAT_ZH[self._entities[hop.target].entity_type]
        return text, known

    def _onward(self, hop: Hop, known: str) -> str:
        told = "、".join(self._clause(one) for one in hop.also)
        return f"{self._step(hop, known)}（{told}）" if told else self._step(hop, known)

    def _step(self, hop: Hop, known: str) -> str:
        words = self._phrase(hop.directed_predicate).format(
            known=known, clinical=chinese(hop.clinical), other="另一种" if hop.other else ""
        )
        return f"{words}（{chinese(hop.clinical)}）" if is_report(hop.clinical) else words

    def _clause(self, clause: Clause) -> str:
        return self._phrase(f"clause:{directed(clause.predicate, clause.forward)}").format(
            other=self.named(clause.other), clinical=chinese(clause.clinical)
        )

    def _choice(self, path: Path, known: str) -> str:
        group = self._step(path.hops[-1], known)
        if path.asked in ("earliest", "latest"):
            return f"在已知发病年龄的{group}中，{_CHOICES_ZH[path.asked]}的是哪一种？"
        finding = self.named(path.about[0].other)
        return f"在已知{finding}患者比例的{group}中，该{_CHOICES_ZH[path.asked]}的是哪一种？"

    def _start(self, draft: Draft) -> str:
        if draft.description is not None:
            return draft.description.chinese(self._entities, chinese)
        return self.named(draft.path.start)

    def named(self, entity_id: str) -> str:
        entity = self._entities[entity_id]
        return f"基因{entity.name}" if entity.entity_type == GENE else entity.name

    def _phrase(self, key: str) -> str:
        phrase = CHINESE_WORDING.get(key)
        if phrase is None:
            raise DataError(f"knowledge.predicates has no Chinese wording for {key}: add one")
        return phrase


FIELDS_ZH = {
    "veterinary medicine": "兽医学",
    "dentistry": "牙科学",
    "oncology": "肿瘤学",
    "cardiology": "心脏病学",
    "radiology": "放射学",
    "paediatrics": "儿科学",
    "neurology": "神经病学",
    "psychiatry and psychology": "精神病学与心理学",
    "dermatology": "皮肤病学",
    "ophthalmology": "眼科学",
    "endocrinology": "内分泌学",
    "gastroenterology": "胃肠病学",
    "haematology": "血液学",
    "infectious diseases": "传染病学",
    "immunology and rheumatology": "免疫与风湿病学",
    "urology and nephrology": "泌尿与肾脏病学",
    "respiratory medicine": "呼吸病学",
    "obstetrics and gynaecology": "妇产科学",
    "anaesthesia and intensive care": "麻醉与重症医学",
    "surgery": "外科学",
    "pharmacology": "药理学",
    "genetics": "遗传学",
    "nutrition": "营养学",
    "microbiology": "微生物学",
    "biochemistry and biology": "生物化学与生物学",
}
_CHINESE_COMPARISONS = {
    "fewer than a quarter of patients": "不到四分之一的患者",
    "a quarter to a half of patients": "四分之一至一半的患者",
    "a half to three quarters of patients": "一半至四分之三的患者",
    "more than three quarters of patients": "超过四分之三的患者",
    "all patients": "所有患者",
}


def chinese(clinical: str) -> str:
    """A qualifier: "3 of 7 patients" as "7名患者中3名", "45% of patients" as "45%的患者", "all patients" as
    "所有患者"; "reported in 1977 in Chest" as "据1977年《Chest》报道"."""
    if is_report(clinical):
        first, last = years_of_report(clinical)
        when = f"{first}年" if first == last else f"{first}年至{last}年间"
        journal = journal_of(clinical)
        field = FIELDS_ZH.get(field_told(clinical))
        return f"据{when}{f'一份{field}期刊' if field else f'《{journal}》' if journal else ''}报道"
    counts = re.fullmatch(r"(\d+) of (\d+) patients?", clinical)
    if counts:
        return f"{counts[2]}名患者中{counts[1]}名"
    return _CHINESE_COMPARISONS.get(clinical) or clinical.replace("% of patients", "%的患者")


def rules_writer(language: Language, entities: Mapping[str, Entity]) -> EnglishRules | ChineseRules:
    """The rules writer of a language, "en" or "zh"."""
    if language == "zh":
        return ChineseRules(entities)
    return EnglishRules(entities)
