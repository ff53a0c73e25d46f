"""Chinese questions read back into plans, by the wording of ``questions/wording_zh.json``.

As in ``english``, each function yields every way to read its text. Names stay as the documents print them.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources

from medr_ray.knowledge.predicates import INVERSE, PREDICATES, Predicate
from medr_ray.knowledge.shares import COMPARISONS
from medr_ray.questions.writing import FIELDS_ZH, chinese
from medr_ray.trajectories.plans import Asked, Condition, Hop, Plan, Walk

_GENE = "基因"
_THAT = re.compile("该(?:疾病|基因|表现|药物)")
_COMPARED = {chinese(one): one for one in (*COMPARISONS, "all patients")}
_SHARES = "|".join((r"\d+名患者中\d+名", r"\d+(?:\.\d+)?(?:-\d+)?%的患者", "some patients", *map(re.escape, _COMPARED)))
_REPORT = re.compile(
    r"据(?:(?P<year>\d{4})年|(?P<first>\d{4})年至(?P<last>\d{4})年间)(?:《(?P<journal>.+)》|一份(?P<field>.+)期刊)?报道")
_STEP = re.compile(r"(?P<opening>从|另从)(?P<start>.+)出发|取(?P<phrase>.+)")
_TOLD = re.compile(r"(?P<step>.+)（(?P<told>.+)）")
_DESCRIBED = (
    (re.compile(f"与{_GENE}(?P<other>.+)相关"), "associated_gene"),
    (re.compile(f"在(?P<clinical>{_SHARES})中出现(?P<other>.+)"), "has_finding"),
    (re.compile("表现为(?P<other>.+)"), "presents_with"),
    (re.compile("并发(?P<other>.+)"), "complicated_by"),
)
_SHARE = re.compile("(?P<finding>.+)在该疾病患者中出现的比例是多少？")
_FIRST = re.compile("在已知发病年龄的(?P<group>.+)中，起病最(?P<asked>早|晚)的是哪一种？")
_MOST = re.compile("在已知(?P<finding>.+)患者比例的(?P<group>.+)中，该比例最(?P<asked>高|低)的是哪一种？")
_ASKED: dict[str, Asked] = {"早": "earliest", "晚": "latest", "高": "largest", "低": "smallest"}
_WHAT = "是什么？"


def read(text: str) -> Iterator[Plan]:
    """Every way to read a question."""
    *steps, question = text.strip().split("。")
    for walks in _walks(steps):
        yield from _asked(question, walks)


# --- walks ------------------------------------------------------------------------------------------------------


def _walks(steps: list[str]) -> Iterator[tuple[Walk, ...]]:
    """The walks that the sentences before the question tell."""
    if not steps:
        yield ()
        return
    read = _STEP.fullmatch(steps[-1])
    if read is None:
        return
    for walks in _walks(steps[:-1]):
        if read["start"]:
            yield from ((*walks, start) for start in _starts(read["start"]))
        elif walks:
            begins = steps[-2].endswith("出发")
            for hop, known in _hops(read["phrase"]):
                if _starts_with(walks[-1], known) if begins else _THAT.fullmatch(known):
                    yield (*walks[:-1], walks[-1].onward(hop))


def _starts(known: str) -> Iterator[Walk]:
    """A walk at its start, which is named or described."""
    yield from (Walk.from_described(first, second) for first, second in _descriptions(known))
    yield Walk(known.removeprefix(_GENE))


def _starts_with(walk: Walk, known: str) -> bool:
    """Whether ``known`` is the start of a walk, told again in its first step."""
    return any(walk == one for one in _starts(known))


def _descriptions(text: str) -> Iterator[tuple[Condition, Condition]]:
    """The two facts of "在7名患者中3名中出现A且与基因B相关的疾病"."""
    if not text.endswith("的疾病"):
        return
    rest = text.removesuffix("的疾病")
    for joint in re.finditer("且", rest):
        first, second = _described(rest[: joint.start()]), _described(rest[joint.end():])
        if first is not None and second is not None:
            yield first, second


def _described(text: str) -> Condition | None:
    for pattern, predicate in _DESCRIBED:
        if read := pattern.fullmatch(text):
            return Condition(PREDICATES[predicate], True, _qualifier(read), read["other"])
    return None


# --- steps and clauses ------------------------------------------------------------------------------------------


def _hops(phrase: str) -> Iterator[tuple[Hop, str]]:
    """(hop, what it starts from) of "与该基因相关的另一种疾病（其发病年龄为…）"."""
    for hop, known in _reported_hops(phrase):
        yield hop, known
    told = _TOLD.fullmatch(phrase)
    if told is not None:
        for hop, known in _reported_hops(told["step"]):
            for also in _told(told["told"], hop.target_type):
                yield Hop(hop.predicate, hop.inverse, hop.clinical, hop.other, also), known


def _reported_hops(phrase: str) -> Iterator[tuple[Hop, str]]:
    told = _TOLD.fullmatch(phrase)
    report = _REPORT.fullmatch(told["told"]) if told is not None else None
    if told is not None and report is not None:
        for hop, known in _bare_hops(told["step"]):
            yield Hop(hop.predicate, hop.inverse, _report(report), hop.other), known
    yield from _bare_hops(phrase)


def _bare_hops(phrase: str) -> Iterator[tuple[Hop, str]]:
    for predicate, inverse, pattern in _patterns():
        if read := pattern.fullmatch(phrase):
            yield Hop(predicate, inverse, _qualifier(read), bool(read.groupdict().get("other"))), read["known"]


def _qualifier(read: re.Match[str]) -> str:
    """The qualifier in the words of documents: "7名患者中3名" is "3 of 7 patients"."""
    told = read.groupdict().get("clinical") or ""
    if counts := re.fullmatch(r"(\d+)名患者中(\d+)名", told):
        return f"{counts[2]} of {counts[1]} patient{'s' * (counts[1] != '1')}"
    return _COMPARED.get(told) or told.replace("%的患者", "% of patients")


def _report(read: re.Match[str]) -> str:
    when = f"in {read['year']}" if read["year"] else f"between {read['first']} and {read['last']}"
    field = next((name for name, told in FIELDS_ZH.items() if told == read["field"]), "")
    where = f"a journal of {field}" if field else read["journal"]
    return f"reported {when} in {where}" if where else f"reported {when}"


@cache
def _patterns() -> list[tuple[Predicate, bool, re.Pattern[str]]]:
    """Every directed predicate with words, and what these look like."""
    return [(PREDICATES[key.removeprefix(INVERSE)], key.startswith(INVERSE), _pattern(phrase, "known"))
            for key, phrase in _wording().items()
            if not key.startswith("clause:") and not (
                key.startswith(INVERSE) and PREDICATES[key.removeprefix(INVERSE)].symmetric)]


def _pattern(phrase: str, name: str) -> re.Pattern[str]:
    """A phrase of the wording as a pattern; ``name`` is what its entity is to be called."""
    holes = {"{clinical}": f"(?P<clinical>{_SHARES})", "{other}": "(?P<other>另一种)?"}
    holes[f"{{{name}}}"] = f"(?P<{name}>.+)"
    return re.compile("".join(holes.get(part, re.escape(part)) for part in re.split(r"(\{\w+\})", phrase)))


def _told(text: str, target_type: str) -> Iterator[tuple[Condition, ...]]:
    """The clauses of "与基因A相关、其发病年龄为B", of an entity of a type."""
    for joint in re.finditer("、", text):
        for first in _clauses(text[: joint.start()], target_type):
            yield from ((first, *rest) for rest in _told(text[joint.end():], target_type))
    yield from ((one,) for one in _clauses(text, target_type))


def _clauses(text: str, target_type: str) -> Iterator[Condition]:
    for predicate, forward, pattern in _clause_patterns():
        kind = predicate.subject_type if forward else predicate.object_type
        if kind == target_type and (read := pattern.fullmatch(text)):
            yield Condition(predicate, forward, _qualifier(read), read["other"].removeprefix(_GENE))


@cache
def _clause_patterns() -> list[tuple[Predicate, bool, re.Pattern[str]]]:
    made = []
    for key, phrase in _wording().items():
        if key.startswith("clause:"):
            name = key.removeprefix("clause:")
            made.append((PREDICATES[name.removeprefix(INVERSE)], not name.startswith(INVERSE),
                         _pattern(phrase, "other")))
    return made


@cache
def _wording() -> dict[str, str]:
    text = resources.files("medr_ray.questions").joinpath("wording_zh.json").read_text(encoding="utf-8")
    wording: dict[str, str] = json.loads(text)
    return wording


# --- what is asked ----------------------------------------------------------------------------------------------


def _asked(question: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
    if (read := _SHARE.fullmatch(question)) and len(walks) == 1:
        yield Plan(walks, "share", read["finding"])
    for pattern in (_FIRST, _MOST):
        if read := pattern.fullmatch(question):
            for walk in _last(read["group"], walks):
                yield Plan((walk,), _ASKED[read["asked"]], read.groupdict().get("finding") or "")
    if question.startswith("既是") and question.endswith(f"的{_WHAT}"):
        yield from _meetings(question.removeprefix("既是").removesuffix(f"的{_WHAT}"), walks)
    elif question.endswith(_WHAT):
        yield from (Plan((walk,)) for walk in _last(question.removesuffix(_WHAT), walks))


def _last(phrase: str, walks: tuple[Walk, ...]) -> Iterator[Walk]:
    """The walk that ends with the hop of the question itself."""
    for hop, known in _hops(phrase):
        if not walks:
            yield from (start.onward(hop) for start in _nested(known))
        elif len(walks) == 1 and _THAT.fullmatch(known):
            yield walks[0].onward(hop)


def _nested(known: str) -> Iterator[Walk]:
    """Where "<known>的遗传方式" starts: from a description, one hop further on, or a name."""
    starts = list(_starts(known))
    yield from starts[:-1]
    for hop, before in _bare_hops(known):
        yield from (start.onward(hop) for start in _starts(before))
    yield starts[-1]


def _meetings(both: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
    """ "既是<一步>、又是<另一步>的": a walk without sentences of its own starts where its step does."""
    for joint in re.finditer("、又是", both):
        for first, one in _hops(both[: joint.start()]):
            for second, other in _hops(both[joint.end():]):
                yield from _met(first, one, second, other, walks)


def _met(first: Hop, one: str, second: Hop, other: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
    come = [_THAT.fullmatch(known) is not None for known in (one, other)]
    if sum(come) != len(walks):
        return
    for begun in [walks[0]] if come[0] else _starts(one):
        for again in [walks[-1]] if come[1] else _starts(other):
            yield Plan((begun.onward(first), again.onward(second)))
