"""English questions read back into plans, by the wording that ``knowledge.predicates`` gives relations.

Reading is a search: each function yields every way to read its text, the likeliest first, for a name may hold any word
("and", "with", "that").
"""

import re
from collections.abc import Iterator
from functools import cache

from medr_ray.knowledge.predicates import PREDICATES, Predicate
from medr_ray.knowledge.shares import COMPARISONS
from medr_ray.trajectories.plans import Asked, Condition, Hop, Plan, Walk

SHARES = "|".join((r"\d+ of \d+ patients?", r"\d+(?:\.\d+)?(?:-\d+)?% of patients", "all patients", "some patients",
                   *map(re.escape, COMPARISONS)))
_THE_GENE = "the gene "
_THAT = re.compile(r"that (?:disease|gene|finding|drug)")
_NEXT = re.compile(r"\. (?=Then take |Next, take |Begin again with |What is |In what share of |Of the )")
_STEP = re.compile(r"(?:Begin(?P<again> again)? with|Then take|Next, take) (?P<phrase>.+?)"
                   r"(?:: this is (?P<label>(?:disease|gene|finding|drug) [AB]))?")
_TOLD = re.compile(r"(?P<step>.+) \(the one (?P<told>.+)\)")
_REPORTED = re.compile(
    r"(?P<step>.+), as (?P<report>reported (?:in \d{4}|between \d{4} and \d{4})(?: in .+)?)")
_CLAUSES = re.compile(r" and (?=that |whose |in which |of which )")
_DESCRIBED = (
    (re.compile(r"associated with the gene (?P<other>.+)"), "associated_gene"),
    (re.compile(rf"with (?P<other>.+) in (?P<clinical>{SHARES})"), "has_finding"),
    (re.compile(r"presenting with (?P<other>.+)"), "presents_with"),
    (re.compile(r"complicated by (?P<other>.+)"), "complicated_by"),
)
_SHARE = re.compile(r"In what share of patients with (?P<whole>.+) found\?")
_FIRST = re.compile(
    r"Of (?P<group>the .+) whose age of onset is stated, which begins (?P<asked>earliest|latest) in life\?")
_MOST = re.compile(
    r"Of (?P<group>the .+) for which the share of patients with (?P<finding>.+) is stated, which shows it in the "
    r"(?P<asked>largest|smallest) share of patients\?")
_ASKED: dict[str, Asked] = {"earliest": "earliest", "latest": "latest", "largest": "largest", "smallest": "smallest"}


def read(text: str) -> Iterator[Plan]:
    """Every way to read a question."""
    *steps, question = _NEXT.split(text.strip())
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
    label = read["label"] or ""
    for walks in _walks(steps[:-1]):
        for hop, known in _hops(read["phrase"]):
            if steps[-1].startswith("Begin"):
                yield from ((*walks, one.onward(hop, label)) for one in _starts(known))
            elif walks and not walks[-1].label and _is_where(walks[-1], known):
                yield (*walks[:-1], walks[-1].onward(hop, label))


def _starts(known: str) -> Iterator[Walk]:
    """A walk at its start, which is named or described."""
    yield from (Walk.from_described(first, second) for first, second in _descriptions(known))
    yield Walk(known.removeprefix(_THE_GENE))


def _is_where(walk: Walk, known: str) -> bool:
    """Whether ``known`` means the place a walk has come to."""
    return known == walk.label if walk.label else _THAT.fullmatch(known) is not None


def _descriptions(text: str) -> Iterator[tuple[Condition, Condition]]:
    """The two facts of "the disease with A in 3 of 7 patients and associated with the gene B"."""
    if not text.startswith("the disease "):
        return
    rest = text.removeprefix("the disease ")
    for joint in re.finditer(" and ", rest):
        first, second = _described(rest[: joint.start()]), _described(rest[joint.end():])
        if first is not None and second is not None:
            yield first, second


def _described(text: str) -> Condition | None:
    for pattern, predicate in _DESCRIBED:
        if read := pattern.fullmatch(text):
            return Condition(PREDICATES[predicate], True, read.groupdict().get("clinical") or "", read["other"])
    return None


# --- steps and clauses ------------------------------------------------------------------------------------------


def _hops(phrase: str) -> Iterator[tuple[Hop, str]]:
    """(hop, what it starts from) of "the other disease associated with that gene (the one that ...)"."""
    told = _TOLD.fullmatch(phrase)
    if told is not None:
        for hop, known in _bare_hops(told["step"]):
            for also in _told(told["told"], hop.target_type):
                yield Hop(hop.predicate, hop.inverse, hop.clinical, hop.other, also), known
    yield from _bare_hops(phrase)


def _bare_hops(phrase: str) -> Iterator[tuple[Hop, str]]:
    reported = _REPORTED.fullmatch(phrase)
    if reported is not None:
        for hop, known in _bare_hops(reported["step"]):
            yield Hop(hop.predicate, hop.inverse, reported["report"], hop.other), known
    for predicate, inverse, pattern in _patterns():
        if read := pattern.fullmatch(phrase):
            clinical = read.groupdict().get("clinical") or ""
            yield Hop(predicate, inverse, clinical, bool(read["other"])), read["known"]


@cache
def _patterns() -> list[tuple[Predicate, bool, re.Pattern[str]]]:
    """Every predicate in each direction that has words, with what these words look like."""
    made = []
    for one in PREDICATES.values():
        made.append((one, False, _pattern(one.phrase, one.of)))
        if one.inverse_phrase and not one.symmetric:
            made.append((one, True, _pattern(one.inverse_phrase, one.inverse_of)))
    return made


def _pattern(phrase: str, joint: str) -> re.Pattern[str]:
    head = _with_clinical(phrase)
    return re.compile(f"the (?P<other>other )?{head}{' ' + joint if joint else ''} (?P<known>.+)")


def _with_clinical(wording: str) -> str:
    return f"(?P<clinical>{SHARES})".join(re.escape(part) for part in wording.split("{clinical}"))


def _told(text: str, target_type: str) -> Iterator[tuple[Condition, ...]]:
    """The clauses of "that is associated with the gene A and whose age of onset is B", of an entity of a type."""
    joints = list(_CLAUSES.finditer(text))
    for joint in joints:
        for first in _clauses(text[: joint.start()], target_type):
            yield from ((first, *rest) for rest in _told(text[joint.end():], target_type))
    yield from ((one,) for one in _clauses(text, target_type))


def _clauses(text: str, target_type: str) -> Iterator[Condition]:
    for predicate, forward, pattern in _clause_patterns():
        kind = predicate.subject_type if forward else predicate.object_type
        if kind == target_type and (read := pattern.fullmatch(text)):
            clinical = read.groupdict().get("clinical") or ""
            yield Condition(predicate, forward, clinical, read["known"].removeprefix(_THE_GENE))


@cache
def _clause_patterns() -> list[tuple[Predicate, bool, re.Pattern[str]]]:
    made = []
    for one in PREDICATES.values():
        for forward, wording in ((True, one.clause), (False, one.inverse_clause)):
            if wording and not (one.symmetric and not forward):
                head, _, tail = wording.partition("{other}")
                made.append((one, forward, re.compile(
                    f"{_with_clinical(head)}(?P<known>.+){_with_clinical(tail)}")))
    return made


# --- what is asked ----------------------------------------------------------------------------------------------


def _asked(question: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
    if read := _SHARE.fullmatch(question):
        yield from _shares(read["whole"], walks)
    for pattern in (_FIRST, _MOST):
        if read := pattern.fullmatch(question):
            group = re.sub(r"^the (other )?diseases", r"the \1disease", read["group"])
            for walk in _last(group, walks):
                yield Plan((walk,), _ASKED[read["asked"]], read.groupdict().get("finding") or "")
    if question.startswith("What is both ") and question.endswith("?"):
        yield from _meetings(question.removeprefix("What is both ")[:-1], walks)
    elif question.startswith("What is ") and question.endswith("?"):
        for walk in _last(question.removeprefix("What is ")[:-1], walks):
            yield Plan((walk,))


def _last(phrase: str, walks: tuple[Walk, ...]) -> Iterator[Walk]:
    """The walk that ends with the hop of the question itself."""
    for hop, known in _hops(phrase):
        if walks:
            if len(walks) == 1 and _is_where(walks[0], known):
                yield walks[0].onward(hop)
            continue
        for start in _nested(known):
            yield start.onward(hop)


def _nested(known: str) -> Iterator[Walk]:
    """Where "the finding in ... patients with <known>" starts: from a name, a description, or one hop further on."""
    for start in _starts(known):
        if start.described:
            yield start
    for hop, before in _bare_hops(known):
        yield from (start.onward(hop) for start in _starts(before))
    yield Walk(known.removeprefix(_THE_GENE))


def _shares(whole: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
    """ "In what share of patients with <of> is <finding> found?"; what comes before may hold " is " as well."""
    for joint in reversed(list(re.finditer(",? is ", whole))):
        of, finding = whole[: joint.start()], whole[joint.end():]
        if walks and _THAT.fullmatch(of):
            yield Plan((walks[-1],), "share", finding)
        elif not walks:
            yield from (Plan((walk,), "share", finding) for walk in _last(of, ()))


def _meetings(both: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
    """ "<step from A>, and <step from B>": a walk without sentences of its own starts where the step does."""
    for joint in re.finditer(",? and (?=the )", both):
        for first, one in _hops(both[: joint.start()]):
            for second, other in _hops(both[joint.end():]):
                yield from _met(first, one, second, other, walks)


def _met(first: Hop, one: str, second: Hop, other: str, walks: tuple[Walk, ...]) -> Iterator[Plan]:
    labelled = {walk.label: walk for walk in walks if walk.label}
    if len(labelled) != len(walks) or not set(labelled) <= {one, other}:
        return
    for begun in [labelled[one]] if one in labelled else _starts(one):
        for again in [labelled[other]] if other in labelled else _starts(other):
            yield Plan((begun.onward(first), again.onward(second)))
