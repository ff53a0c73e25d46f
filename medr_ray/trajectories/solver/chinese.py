"""The wording of Chinese questions, as ``knowledge.predicates`` has it. Names stay as the
documents print them."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from medr_ray.knowledge.predicates import CHINESE_WORDING, INVERSE, PREDICATES
from medr_ray.knowledge.shares import COMPARISONS
from medr_ray.questions.wording.writers import FIELDS_ZH, word_qualifier_in_chinese
from medr_ray.trajectories.solver.plans import Hop, Plan, Walk
from medr_ray.trajectories.solver.question_grammar import Grammar, Wording

_CLAUSE = "clause:"  # before the keys of clauses in the wording
_COMPARED = {word_qualifier_in_chinese(phrase): phrase for phrase in (*COMPARISONS, "all patients")}
_SHARES = "|".join(
    (
        r"\d+名患者中\d+名",
        r"\d+(?:\.\d+)?(?:-\d+)?%的患者",
        "some patients",
        *map(re.escape, _COMPARED),
    )
)
_REPORTED = re.compile(
    r"(?P<step>.+)（据(?:(?P<year>\d{4})年|(?P<first>\d{4})年至(?P<last>\d{4})年间)"
    r"(?:《(?P<journal>.+)》|一份(?P<field>.+)期刊)?报道）"
)
_SHARE = re.compile("(?P<finding>.+)在该疾病患者中出现的比例是多少？")


class Chinese(Grammar):
    """Chinese."""

    step = re.compile(r"(?:从|另从)(?P<start>.+)出发|取(?P<phrase>.+)")
    gene = "基因"
    that = re.compile("该(?:疾病|基因|表现|药物)")
    description = re.compile("(?P<facts>.+)的疾病")
    joint_of_facts = re.compile("且")
    facts: ClassVar = {
        "associated_gene": re.compile("与基因(?P<known>.+)相关"),
        "has_finding": re.compile(f"在(?P<clinical>{_SHARES})中出现(?P<known>.+)"),
        "presents_with": re.compile("表现为(?P<known>.+)"),
        "complicated_by": re.compile("并发(?P<known>.+)"),
    }
    told = re.compile(r"(?P<step>.+)（(?P<told>.+)）")
    joint_of_clauses = re.compile("、")
    superlatives = (
        re.compile("在已知发病年龄的(?P<group>.+)中，起病最(?P<asked>早|晚)的是哪一种？"),
        re.compile(
            "在已知(?P<finding>.+)患者比例的(?P<group>.+)中，该比例最(?P<asked>高|低)的是哪一种？"
        ),
    )
    asked: ClassVar = {"早": "earliest", "晚": "latest", "高": "largest", "低": "smallest"}
    both = re.compile("既是(?P<steps>.+)的是什么？")
    joint_of_steps = re.compile("、又是")
    what = re.compile("(?P<step>.+)是什么？")

    def _sentences(self, text: str) -> list[str]:
        return text.split("。")

    def _walked(self, read: re.Match[str], walks: tuple[Walk, ...]) -> Iterator[tuple[Walk, ...]]:
        """A walk's start has a sentence of its own, and is told again in its first step."""
        if read["start"]:
            yield from ((*walks, start) for start in self._starts(read["start"]))
        elif walks:
            for hop, origin in self._hops(read["phrase"]):
                if (
                    self._is_where(walks[-1], origin)
                    if walks[-1].asked_hops
                    else walks[-1] in self._starts(origin)
                ):
                    yield (*walks[:-1], walks[-1].onward(hop))

    @cached_property
    def _hop_patterns(self) -> Wording:
        return [
            (PREDICATES[name], inverse, _pattern(phrase, "known"))
            for key, phrase in CHINESE_WORDING.items()
            if not key.startswith(_CLAUSE)
            for name, inverse in [_directed(key)]
            if not (inverse and PREDICATES[name].symmetric)
        ]

    @cached_property
    def _clause_patterns(self) -> Wording:
        return [
            (PREDICATES[name], not inverse, _pattern(phrase, "other"))
            for key, phrase in CHINESE_WORDING.items()
            if key.startswith(_CLAUSE)
            for name, inverse in [_directed(key.removeprefix(_CLAUSE))]
        ]

    def _reported(self, phrase: str) -> tuple[str, str] | None:
        read = _REPORTED.fullmatch(phrase)
        if read is None:
            return None
        when = (
            f"in {read['year']}" if read["year"] else f"between {read['first']} and {read['last']}"
        )
        field = next((name for name, wording in FIELDS_ZH.items() if wording == read["field"]), "")
        where = f"a journal of {field}" if field else read["journal"]
        return read["step"], f"reported {when} in {where}" if where else f"reported {when}"

    def _qualifier(self, read: re.Match[str]) -> str:
        """As documents say it: "7名患者中3名" is "3 of 7 patients"."""
        qualifier = super()._qualifier(read)
        if counts := re.fullmatch(r"(\d+)名患者中(\d+)名", qualifier):
            return f"{counts[2]} of {counts[1]} patient{'s' * (counts[1] != '1')}"
        return _COMPARED.get(qualifier) or qualifier.replace("%的患者", "% of patients")

    def _shares(self, question: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
        if (read := _SHARE.fullmatch(question)) and len(walks) == 1:
            yield Plan(walks, "share", read["finding"])

    def _met(self, ends: tuple[tuple[Hop, str], ...], walks: tuple[Walk, ...]) -> Iterator[Plan]:
        """Where both walks have sentences of their own, they come in order."""
        are_given = [self.that.fullmatch(start) is not None for _, start in ends]
        if sum(are_given) == len(walks):
            given = iter(walks)
            yield from self._meeting(
                ends, [next(given) if is_given else None for is_given in are_given]
            )


def _directed(key: str) -> tuple[str, bool]:
    """(predicate, whether it is walked against its direction)."""
    return key.removeprefix(INVERSE), key.startswith(INVERSE)


def _pattern(phrase: str, entity: str) -> re.Pattern[str]:
    """A phrase of the wording as a pattern; ``entity`` is what it calls the known one."""
    holes = {"{clinical}": f"(?P<clinical>{_SHARES})", "{other}": "(?P<other>另一种)?"}
    holes[f"{{{entity}}}"] = "(?P<known>.+)"
    return re.compile(
        "".join(holes.get(part, re.escape(part)) for part in re.split(r"(\{\w+\})", phrase))
    )
