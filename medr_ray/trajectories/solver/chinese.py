"""The grammar of Chinese questions.

It takes the phrases of hops and clauses from ``CHINESE_WORDING``. Entity names are those of the
documents, mostly in English.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar

from medr_ray.graph.facts.identification import COMPLETE_SOURCES
from medr_ray.knowledge.predicates import CHINESE_WORDING, INVERSE, PREDICATES, Predicate
from medr_ray.knowledge.predicates.kinds import KIND_WORDING, strip_chinese_announcement
from medr_ray.knowledge.shares import COMPARISONS
from medr_ray.questions.wording.writers import FIELDS_ZH, word_qualifier_in_chinese
from medr_ray.trajectories.solver.plans import Plan, PlanWalk
from medr_ray.trajectories.solver.question_grammar import (
    ClausePattern,
    HopPattern,
    HopWithStart,
    QuestionGrammar,
)

_CLAUSE_PREFIX = "clause:"  # of the keys of clauses in CHINESE_WORDING
_ENGLISH_QUALIFIERS = {
    word_qualifier_in_chinese(phrase): phrase for phrase in (*COMPARISONS, "all patients")
}
_SHARE_PATTERN = "|".join(
    (
        r"\d+名患者中\d+名",
        r"\d+(?:\.\d+)?(?:-\d+)?%的患者",
        "some patients",
        *map(re.escape, _ENGLISH_QUALIFIERS),
    )
)
_COUNT = re.compile(r"(?P<total>\d+)名患者中(?P<count>\d+)名")
_REPORTED_STEP = re.compile(
    r"(?P<step>.+)（据(?:(?P<year>\d{4})年|(?P<first>\d{4})年至(?P<last>\d{4})年间)"
    r"(?:《(?P<journal>.+)》|一份(?P<field>.+)期刊)?报道）"
)
_KINDS = "|".join(wording.chinese for wording in KIND_WORDING.values())
_SOURCES = "|".join(re.escape(source.chinese) for source in COMPLETE_SOURCES.values())
_SHARE_QUESTION = re.compile("(?P<finding>.+)在该疾病患者中出现的比例是多少？")


class ChineseGrammar(QuestionGrammar):
    """Chinese."""

    step_pattern = re.compile(r"(?:从|另从)(?P<start>.+)出发|取(?P<phrase>.+)")
    reference_pattern = re.compile(f"该(?:{_KINDS})")
    description_pattern = re.compile("(?P<facts>.+)的疾病")
    fact_separator = re.compile("且")
    # By predicate, in the wording of ``questions.drafting.obfuscation``.
    fact_patterns: ClassVar = {
        "associated_gene": re.compile("与基因(?P<known>.+)相关"),
        "has_finding": re.compile(f"在(?P<qualifier>{_SHARE_PATTERN})中出现(?P<known>.+)"),
        "presents_with": re.compile("表现为(?P<known>.+)"),
        "complicated_by": re.compile("并发(?P<known>.+)"),
    }
    step_with_clauses_pattern = re.compile(r"(?P<step>.+)（(?P<clauses>.+)）")
    clause_separator = re.compile("、")
    superlative_patterns = (
        re.compile("在已知发病年龄的(?P<group>.+)中，起病最(?P<superlative>早|晚)的是哪一种？"),
        re.compile(
            "在已知(?P<finding>.+)患者比例的(?P<group>.+)中，"
            "该比例最(?P<superlative>高|低)的是哪一种？"
        ),
    )
    superlative_kinds: ClassVar = {
        "早": "earliest",
        "晚": "latest",
        "高": "largest",
        "低": "smallest",
    }
    intersection_pattern = re.compile("既是(?P<steps>.+)的是什么？")
    intersection_separator = re.compile("、又是")
    target_pattern = re.compile("(?P<step>.+)是什么？")
    basis_pattern = re.compile(rf"(?:（据(?:{_SOURCES})）)?(?:（截至[\w ]*\d{{4}}）)?(?=？$)")

    def _split_sentences(self, text: str) -> list[str]:
        return text.split("。")

    def _strip_announcement(self, text: str) -> str:
        return strip_chinese_announcement(text)

    def _extend_walks(
        self, step: re.Match[str], walks: tuple[PlanWalk, ...]
    ) -> Iterator[tuple[PlanWalk, ...]]:
        if step["start"]:
            for start in self._parse_start(step["start"]):
                yield (*walks, start)
        elif walks:
            for hop, start_text in self._parse_hops(step["phrase"]):
                if self._continues(walks[-1], start_text):
                    yield (*walks[:-1], walks[-1].with_hop(hop))

    def _continues(self, walk: PlanWalk, start_text: str) -> bool:
        """Whether a step from ``start_text`` continues a walk."""
        # The start has a sentence of its own ("从...出发") and the first step repeats it. Later
        # steps refer to where the walk has come to.
        if walk.question_hops:
            return self._refers_to_end(start_text, walk)
        return walk in self._parse_start(start_text)

    @cached_property
    def _hop_patterns(self) -> Sequence[HopPattern]:
        patterns = []
        for key, phrase in CHINESE_WORDING.items():
            if key.startswith(_CLAUSE_PREFIX):
                continue
            predicate, inverse = _parse_wording_key(key)
            # A symmetric predicate has one phrase for both directions.
            if not (inverse and predicate.symmetric):
                pattern = _compile_phrase(phrase, "known")
                patterns.append(HopPattern(predicate, inverse, pattern))
        return patterns

    @cached_property
    def _clause_patterns(self) -> Sequence[ClausePattern]:
        patterns = []
        for key, phrase in CHINESE_WORDING.items():
            if key.startswith(_CLAUSE_PREFIX):
                predicate, inverse = _parse_wording_key(key.removeprefix(_CLAUSE_PREFIX))
                pattern = _compile_phrase(phrase, "other")
                patterns.append(ClausePattern(predicate, forward=not inverse, pattern=pattern))
        return patterns

    def _split_report(self, phrase: str) -> tuple[str, str] | None:
        match = _REPORTED_STEP.fullmatch(phrase)
        if match is None:
            return None
        if match["year"]:
            years = f"in {match['year']}"
        else:
            years = f"between {match['first']} and {match['last']}"
        fields = (english for english, wording in FIELDS_ZH.items() if wording == match["field"])
        field = next(fields, "")
        journal = f"a journal of {field}" if field else match["journal"]
        report = f"reported {years} in {journal}" if journal else f"reported {years}"
        return match["step"], report

    def _parse_qualifier(self, match: re.Match[str]) -> str:
        """The qualifier in the words of documents: "7名患者中3名" is "3 of 7 patients"."""
        qualifier = super()._parse_qualifier(match)
        counts = _COUNT.fullmatch(qualifier)
        if counts:
            noun = "patient" if counts["total"] == "1" else "patients"
            return f"{counts['count']} of {counts['total']} {noun}"
        if qualifier in _ENGLISH_QUALIFIERS:
            return _ENGLISH_QUALIFIERS[qualifier]
        return qualifier.replace("%的患者", "% of patients")

    def _parse_share_question(self, question: str, walks: tuple[PlanWalk, ...]) -> Iterator[Plan]:
        match = _SHARE_QUESTION.fullmatch(question)
        if match and len(walks) == 1:
            yield Plan(walks, "share", match["finding"])

    def _join_walks(
        self, last_hops: tuple[HopWithStart, ...], walks: tuple[PlanWalk, ...]
    ) -> Iterator[Plan]:
        # Chinese questions have no labels. When both walks have sentences of their own, the last
        # hops refer to them in order.
        refers = [self.reference_pattern.fullmatch(text) is not None for _, text in last_hops]
        if sum(refers) == len(walks):
            remaining = iter(walks)
            matched = [next(remaining) if is_reference else None for is_reference in refers]
            yield from self._build_intersection_plans(last_hops, matched)


def _parse_wording_key(key: str) -> tuple[Predicate, bool]:
    """Returns (predicate, whether the phrase is inverse) of a predicate's directed name."""
    return PREDICATES[key.removeprefix(INVERSE)], key.startswith(INVERSE)


def _compile_phrase(phrase: str, entity_placeholder: str) -> re.Pattern[str]:
    """A phrase of CHINESE_WORDING as a pattern. ``entity_placeholder`` is what the phrase calls the
    entity that goes into the group ``known``."""
    groups = {"{clinical}": f"(?P<qualifier>{_SHARE_PATTERN})", "{other}": "(?P<other>另一种)?"}
    # In a clause {other} is the entity, so this replaces the optional "another".
    groups[f"{{{entity_placeholder}}}"] = "(?P<known>.+)"
    parts = re.split(r"(\{\w+\})", phrase)
    return re.compile("".join(groups.get(part, re.escape(part)) for part in parts))
