"""Writers that put paths into words.

The start is named or described. Entities on the way are never named, only described by the relation
that leads to them. Writers take whole batches and answer in order. The rules writer nests short
paths ("the mode of inheritance of the disease associated with ...") and words longer ones step by
step. The ``llm`` writer (``llm_writer``) may word them freely, and its text passes the same
verification. The wording of the relations is in ``knowledge.predicates``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from medr_ray.core.errors import DataError
from medr_ray.core.records import Entity, Language
from medr_ray.graph.facts.fact_index import Clause
from medr_ray.graph.facts.hops import Hop
from medr_ray.graph.facts.identification import COMPLETE_SOURCES
from medr_ray.knowledge.predicates import CHINESE_WORDING, PREDICATES, directed_name
from medr_ray.knowledge.predicates.kinds import (
    KIND_WORDING,
    announce,
    announce_in_chinese,
)
from medr_ray.knowledge.published_reports import (
    is_report,
    parse_journal,
    parse_journal_field,
    parse_report_years,
)
from medr_ray.questions.checks.cardinality import NO_BASIS, QuestionBasis
from medr_ray.questions.drafting.obfuscation import StartDescription
from medr_ray.questions.drafting.question_paths import QuestionPath

_CHOICES_ZH = {
    "earliest": "起病最早",
    "latest": "起病最晚",
    "largest": "比例最高",
    "smallest": "比例最低",
}
_MAX_NESTED_HOPS = 2  # a longer "of the … of the …" is hard to read


# The fields are columns of the parts that drafting writes: they keep their names.
@dataclass(frozen=True)
class Draft:
    """The input of a writer: the path, the start's description where it must not be named, and the
    source and date that the question states."""

    path: QuestionPath
    description: StartDescription | None = None
    obfuscation: int = 0
    basis: QuestionBasis = NO_BASIS


@dataclass(frozen=True)
class WrittenQuestion:
    """A writer's result: the question in ``text``, or a ``problem`` for which it is rejected."""

    text: str
    problem: str = ""


class QuestionWriter(Protocol):
    """The question writer's role."""

    name: str

    def write(self, drafts: Sequence[Draft]) -> list[WrittenQuestion]:
        """Return a result for each draft, in order.

        A draft that a model could not word has a ``problem``.
        """
        ...


def is_nested(path: QuestionPath) -> bool:
    """Whether the path is short and plain enough for one nested phrase."""
    # In a nested phrase it would not be clear which of the relations the report states.
    if len(path.hops) > 1 and any(is_report(hop.clinical) for hop in path.hops):
        return False
    return (
        len(path.hops) <= _MAX_NESTED_HOPS
        and not path.second
        and path.asked == "entity"
        and not path.clauses
    )


class EnglishRulesWriter:
    """English: "What is the mode of inheritance of the disease associated with …?", or step by
    step: "Begin with …. Then take the gene associated with that disease. What is …?"."""

    name = "rules"

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self._entities = entities

    def write(self, drafts: Sequence[Draft]) -> list[WrittenQuestion]:
        return [
            WrittenQuestion(
                self._word_question(draft).removesuffix("?") + word_basis(draft.basis) + "?"
            )
            for draft in drafts
        ]

    def _word_question(self, draft: Draft) -> str:
        path = draft.path
        start = self._word_start(draft)
        if is_nested(path):
            return f"What is {self.noun_phrase(draft)}?"
        steps, reference = self._word_steps(path.hops[:-1], start)
        last = path.hops[-1]
        if path.asked == "share":
            return self._ask_share(path, steps, self._word_hop_with_facts(last, reference), start)
        if path.asked != "entity":
            return f"{steps}{self._ask_choice(path, reference)}"
        if path.second:
            return self._ask_meeting(path, start)
        return f"{steps}What is {self._word_hop_with_facts(last, reference)}?"

    def noun_phrase(self, draft: Draft) -> str:
        """Return what the answer is, as "the … of the … of <start>"."""
        words = self._word_start(draft)
        for hop in draft.path.hops:
            words = self._word_hop(hop, words)
        return words

    def _word_steps(
        self, hops: Sequence[Hop], start: str, opening: str = "Begin"
    ) -> tuple[str, str]:
        """Return the sentences that lead over ``hops``, and the phrase for their last entity."""
        text = ""
        reference = start
        for number, hop in enumerate(hops):
            # The openings alternate, so that a long question does not repeat one of them.
            if number == 0:
                lead_in = f"{opening} with"
            else:
                lead_in = "Then take" if number % 2 == 0 else "Next, take"
            text += f"{lead_in} {self._word_hop_with_facts(hop, reference)}. "
            # How a step refers to the entity that the step before it reached.
            reference = f"that {KIND_WORDING[self._entities[hop.target].entity_type].english}"
        return text, reference

    def _ask_meeting(self, path: QuestionPath, start: str) -> str:
        """Return the question for the entity at the end of two walks."""
        text = ""
        ends = []
        for hops, start_name, letter in (
            (path.hops, start, "A"),
            (path.second, self.name_in_text(path.second[0].start), "B"),
        ):
            steps, reference = self._word_steps(
                hops[:-1], start_name, "Begin again" if text else "Begin"
            )
            if steps:
                # Both walks may reach "that disease": a letter tells the two apart.
                reference = f"{reference.removeprefix('that ')} {letter}"
                text += f"{steps.rstrip()[:-1]}: this is {reference}. "
            ends.append(self._word_hop(hops[-1], reference))
        return f"{text}What is both {ends[0]}{_closing_comma(path.hops[-1])} and {ends[1]}?"

    def _word_hop_with_facts(self, hop: Hop, source_words: str) -> str:
        return self._word_hop(hop, source_words) + self._word_further_facts(hop)

    def _word_hop(self, hop: Hop, source_words: str) -> str:
        """Return "the …" for the hop's target, named by its relation to ``source_words``."""
        predicate = PREDICATES[hop.predicate]
        name_target = predicate.name_object if hop.forward else predicate.name_subject
        words = name_target(source_words, hop.clinical)
        other = "other " if hop.other else ""
        # The predicates' phrases have no place for a report: it follows them.
        report = f", as {hop.clinical}" if is_report(hop.clinical) else ""
        return f"the {other}{words}{report}"

    def _word_further_facts(self, hop: Hop) -> str:
        """Return " (the one whose age of onset is … and that …)", or "" without further facts."""
        clauses = [self._word_clause(clause) for clause in hop.also]
        return f" (the one {' and '.join(clauses)})" if clauses else ""

    def _word_clause(self, clause: Clause) -> str:
        return PREDICATES[clause.predicate].render_clause(
            self.name_in_text(clause.other), clause.forward, clause.clinical
        )

    def _ask_share(self, path: QuestionPath, steps: str, last: str, start: str) -> str:
        finding = self.name_in_text(path.about[0].other)
        if steps:
            return (
                f"{steps}Then take {last}. In what share of patients with that disease is "
                f"{finding} found?"
            )
        return (
            f"In what share of patients with {last}{_closing_comma(path.hops[-1])} "
            f"is {finding} found?"
        )

    def _ask_choice(self, path: QuestionPath, source_words: str) -> str:
        # A choice is made among several diseases, so the phrase of the hop becomes a plural.
        group = self._word_hop(path.hops[-1], source_words).replace(
            "the disease", "the diseases", 1
        )
        group = group.replace("the other disease", "the other diseases", 1)
        if path.asked in ("earliest", "latest"):
            return f"Of {group} whose age of onset is stated, which begins {path.asked} in life?"
        finding = self.name_in_text(path.about[0].other)
        return (
            f"Of {group} for which the share of patients with {finding} is stated, "
            f"which shows it in the {path.asked} share of patients?"
        )

    def _word_start(self, draft: Draft) -> str:
        if draft.description is not None:
            return draft.description.word_in_english(self._entities)
        return self.name_in_text(draft.path.start)

    def name_in_text(self, entity_id: str) -> str:
        """Return the entity's name, after its kind where that is announced ("the gene FBN1")."""
        entity = self._entities[entity_id]
        return announce(entity.entity_type, entity.name)


def word_basis(basis: QuestionBasis) -> str:
    """Return ", according to the HPO annotations, as of 12 July 2019", as far as it applies."""
    parts = [basis.as_of]
    if basis.source:
        parts.insert(0, f"according to {COMPLETE_SOURCES[basis.source].english}")
    return "".join(f", {part}" for part in parts if part)


def word_basis_in_chinese(basis: QuestionBasis) -> str:
    """Return "（据HPO注释）（截至12 July 2019）", as far as it applies."""
    source = f"（据{COMPLETE_SOURCES[basis.source].chinese}）" if basis.source else ""
    date = basis.as_of.removeprefix("as of ")
    return source + (f"（截至{date}）" if date else "")


def _closing_comma(hop: Hop) -> str:
    """Return the comma that ends a report ("…, as reported in …") before further words, or ""."""
    return "," if is_report(hop.clinical) and not hop.also else ""


class ChineseRulesWriter:
    """The same questions in Chinese; names stay as the documents print them."""

    name = "rules"

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self._entities = entities

    def write(self, drafts: Sequence[Draft]) -> list[WrittenQuestion]:
        return [
            WrittenQuestion(
                self._word_question(draft).removesuffix("？")
                + word_basis_in_chinese(draft.basis)
                + "？"
            )
            for draft in drafts
        ]

    def _word_question(self, draft: Draft) -> str:
        path = draft.path
        if is_nested(path):
            return f"{self.noun_phrase(draft)}是什么？"
        steps, reference = self._word_steps(path.hops[:-1], self._word_start(draft), "从")
        last = path.hops[-1]
        if path.asked == "share":
            finding = self.name_in_text(path.about[0].other)
            return (
                f"{steps}取{self._word_hop_with_facts(last, reference)}。"
                f"{finding}在该疾病患者中出现的比例是多少？"
            )
        if path.asked != "entity":
            return f"{steps}{self._ask_choice(path, reference)}"
        if path.second:
            second, other = self._word_steps(
                path.second[:-1], self.name_in_text(path.second[0].start), "另从"
            )
            return (
                f"{steps}{second}既是{self._word_hop(last, reference)}、"
                f"又是{self._word_hop_with_facts(path.second[-1], other)}的是什么？"
            )
        return f"{steps}{self._word_hop_with_facts(last, reference)}是什么？"

    def noun_phrase(self, draft: Draft) -> str:
        """Return what the answer is, as "<start>的…的…"."""
        words = self._word_start(draft)
        for hop in draft.path.hops:
            words = self._word_hop(hop, words)
        return words

    def _word_steps(self, hops: Sequence[Hop], start: str, opening: str) -> tuple[str, str]:
        if not hops:
            return "", start
        text = f"{opening}{start}出发。"
        reference = start
        for hop in hops:
            text += f"取{self._word_hop_with_facts(hop, reference)}。"
            reference = f"该{KIND_WORDING[self._entities[hop.target].entity_type].chinese}"
        return text, reference

    def _word_hop_with_facts(self, hop: Hop, source_words: str) -> str:
        clauses = "、".join(self._word_clause(clause) for clause in hop.also)
        return (
            f"{self._word_hop(hop, source_words)}（{clauses}）"
            if clauses
            else self._word_hop(hop, source_words)
        )

    def _word_hop(self, hop: Hop, source_words: str) -> str:
        words = self._find_phrase(hop.directed_predicate).format(
            known=source_words,
            clinical=word_qualifier_in_chinese(hop.clinical),
            other="另一种" if hop.other else "",
        )
        return (
            f"{words}（{word_qualifier_in_chinese(hop.clinical)}）"
            if is_report(hop.clinical)
            else words
        )

    def _word_clause(self, clause: Clause) -> str:
        return self._find_phrase(
            f"clause:{directed_name(clause.predicate, clause.forward)}"
        ).format(
            other=self.name_in_text(clause.other),
            clinical=word_qualifier_in_chinese(clause.clinical),
        )

    def _ask_choice(self, path: QuestionPath, source_words: str) -> str:
        group = self._word_hop(path.hops[-1], source_words)
        if path.asked in ("earliest", "latest"):
            return f"在已知发病年龄的{group}中，{_CHOICES_ZH[path.asked]}的是哪一种？"
        finding = self.name_in_text(path.about[0].other)
        return f"在已知{finding}患者比例的{group}中，该{_CHOICES_ZH[path.asked]}的是哪一种？"

    def _word_start(self, draft: Draft) -> str:
        if draft.description is not None:
            return draft.description.word_in_chinese(self._entities, word_qualifier_in_chinese)
        return self.name_in_text(draft.path.start)

    def name_in_text(self, entity_id: str) -> str:
        """Return the entity's name, after its kind where that is announced ("基因FBN1")."""
        entity = self._entities[entity_id]
        return announce_in_chinese(entity.entity_type, entity.name)

    def _find_phrase(self, key: str) -> str:
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
_COMPARISONS_ZH = {
    "fewer than a quarter of patients": "不到四分之一的患者",
    "a quarter to a half of patients": "四分之一至一半的患者",
    "a half to three quarters of patients": "一半至四分之三的患者",
    "more than three quarters of patients": "超过四分之三的患者",
    "all patients": "所有患者",
}


def word_qualifier_in_chinese(clinical: str) -> str:
    """Return a qualifier in Chinese.

    "3 of 7 patients" becomes "7名患者中3名", "45% of patients" "45%的患者", "all patients"
    "所有患者", and "reported in 1977 in Chest" "据1977年《Chest》报道".
    """
    if is_report(clinical):
        first, last = parse_report_years(clinical)
        when = f"{first}年" if first == last else f"{first}年至{last}年间"
        journal = parse_journal(clinical)
        field = FIELDS_ZH.get(parse_journal_field(clinical))
        # A report names a field of journals, a journal, or neither.
        publication = ""
        if field:
            publication = f"一份{field}期刊"
        elif journal:
            publication = f"《{journal}》"
        return f"据{when}{publication}报道"
    counts = re.fullmatch(r"(\d+) of (\d+) patients?", clinical)
    if counts:
        return f"{counts[2]}名患者中{counts[1]}名"
    return _COMPARISONS_ZH.get(clinical) or clinical.replace("% of patients", "%的患者")


def open_rules_writer(
    language: Language, entities: Mapping[str, Entity]
) -> EnglishRulesWriter | ChineseRulesWriter:
    """Return the rules writer of a language, "en" or "zh"."""
    if language == "zh":
        return ChineseRulesWriter(entities)
    return EnglishRulesWriter(entities)
