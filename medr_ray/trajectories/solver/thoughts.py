"""The rules teacher's thoughts: a move of the solver in words, in one of two styles.

``plain`` states what the last response established ("lead sponsor of NCT00777179 = Pfizer.") and
why the next call follows, in one wording, which a small model can learn. ``natural`` says what came
back and what that means, what is still open and where it is likely to be stated, which candidate is
checked where, and on which documents the answer rests; each in one of many forms. The words are in
``plain.LANGUAGE.json`` and ``natural.LANGUAGE.json``; names stay as documents print them. The
question and the number of the thought choose the form, so that equal episodes have equal thoughts.
"""

import functools
import random
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from medr_ray.agent.tool_features import GENERAL, MEDICAL
from medr_ray.core.config.trajectories import TeachingStyle
from medr_ray.core.prompts import read_package_json
from medr_ray.core.records import Language
from medr_ray.questions.drafting.answer_names import NOT_RECORDED
from medr_ray.questions.plans import PlanNode
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.trajectories.solver.checks import CONCLUSIVE, Check, CheckOutcome
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.rules import (
    Conflict,
    Established,
    Grounds,
    LookUp,
    PlannedCall,
)
from medr_ray.trajectories.solver.solver import MAX_PAGES

# How a call went: it failed, brought nothing, brought nothing that helps, or brought something.
CallResult = Literal["outage", "empty", "unhelpful", "helpful"]
_LIVER_INJURY = "liver_injury_likelihood_of_drug"  # LiverTox is asked for approvals, too
_MAX_CITED = 12  # documents in a last thought: as many as a count may have
_SHARE_WITH_TOOL = 0.4  # of the calls whose thought says why this tool
# Steps that choose one of several; what is looked up of each tells them apart.
_SELECTIONS = re.compile(
    r"^(?:earlier_|later_|larger_|latest_|first_application_|drug_of_trial_with)"
)
_REASON_OF_SOURCE: Mapping[str, str] = {
    "clinical_trials": "trials",
    "drugs_at_fda": "approvals",
    "orange_book": "patents",
    "drug_labels": "labels",
    "livertox": "livertox",
    "orphanet": "rare_diseases",
    "hpo": "rare_diseases",
    "pubmed": "papers",
}


@dataclass(frozen=True)
class SentCall:
    """A call for a look-up by a tool; ``result`` is how it went, None while it is only planned."""

    look_up: LookUp
    call: PlannedCall
    tool: str
    result: CallResult | None = None


@dataclass(frozen=True)
class Situation:
    """What a thought has to say: how the last calls went, what is new, and what comes next.

    ``earlier`` are the last calls, ``check_outcomes`` what checks among them showed. ``calls`` are
    the next ones; ``checks`` is set where they check a candidate, ``candidate`` where the evidence
    so far points to a value; ``grounds`` are what values were counted, chosen or worked out from,
    ``begun`` look-ups that have something already.
    Without calls there is ``answer``, or nothing was found on ``missing``.
    """

    plan: PlanNode
    notes: Notes
    earlier: Sequence[SentCall] = ()
    results: Sequence[Established] = ()
    conflicts: Sequence[Conflict] = ()
    check_outcomes: Sequence[CheckOutcome] = ()
    missing: Sequence[LookUp] = ()
    calls: Sequence[SentCall] = ()
    candidate: str = ""
    checks: Sequence[Check] = ()
    answer: str | None = None
    documents: Sequence[str] = ()
    grounds: Mapping[LookUp, Grounds] = field(default_factory=dict)
    begun: Collection[LookUp] = ()
    is_out_of_calls: bool = False


class ThoughtWriter(Protocol):
    """Writes the thoughts about one question."""

    def write(self, situation: Situation) -> str:
        """The thought before the next calls or the answer."""
        ...

    def word_unread_question(self) -> str:
        """The question was not understood."""
        ...


def open_thought_writer(style: TeachingStyle, language: Language, question: str) -> ThoughtWriter:
    """The writer of a style."""
    writer = NaturalThoughts if style == "natural" else PlainThoughts
    return writer(language, question)


def word_answer(value: str, notes: Notes, language: Language) -> str:
    """The answer as the records print it; that none is recorded where the value is ""."""
    return notes.print_name(value) if value else NOT_RECORDED[language][0]


class PlainThoughts:
    """One wording of each thing."""

    def __init__(self, language: Language, question: str) -> None:
        self._words: dict[str, Any] = _read_words("plain", language)
        self._language: Language = language
        self._seed = zlib.crc32(question.encode())
        self._count = 0

    def write(self, situation: Situation) -> str:
        """What was established, and why the next call follows."""
        notes = situation.notes
        parts = [self._word_result(result, notes) for result in situation.results]
        if situation.answer is None:
            parts.append(self._word_next(situation))
        return " ".join(parts)

    def word_unread_question(self) -> str:
        """The question was not understood."""
        return str(self._words["unread_question"])

    def _word_result(self, result: Established, notes: Notes) -> str:
        target = self._describe(result.look_up, notes)
        if not result.value:
            return str(self._words["absent"]).format(target=target)
        return str(self._words["result"]).format(
            target=target, value=notes.print_name(result.value)
        )

    def _word_next(self, situation: Situation) -> str:
        notes = situation.notes
        if not situation.calls:
            key = "out_of_calls" if situation.is_out_of_calls else "not_stated"
            return str(self._words[key]).format(target=self._describe(situation.missing[0], notes))
        call = situation.calls[0]
        return self._choose(_find_reason(situation)).format(
            target=self._describe(call.look_up, notes)
        )

    def _describe(self, look_up: LookUp, notes: Notes) -> str:
        """What is looked for: "lead sponsor of NCT00777179"."""
        return self._find_target(look_up.kind).format(*map(notes.print_name, look_up.inputs))

    def _find_target(self, kind: str) -> str:
        """The words of a target; where it has none of its own, those of a question."""
        targets: dict[str, str] = self._words["targets"]
        if kind in targets:
            return targets[kind]
        nouns = STEP_KINDS[kind].wording(self._language).noun
        return nouns[0].removeprefix("the ") if nouns else kind.replace("_", " ") + ": {0}"

    def _choose(self, key: str) -> str:
        forms: list[str] = self._words[key]
        self._count += 1
        return forms[(self._seed + self._count) % len(forms)]


def _find_reason(situation: Situation) -> str:
    if situation.earlier and all(call.result == "outage" for call in situation.earlier):
        return "failed"
    if situation.calls[0].call.document_id:
        return "reading"
    is_repeated = any(call.look_up == situation.calls[0].look_up for call in situation.earlier)
    return "still_needed" if is_repeated else "needed"


class NaturalThoughts:
    """Many forms of each thing, none twice in one episode as long as there are others."""

    def __init__(self, language: Language, question: str) -> None:
        self._words: dict[str, Any] = _read_words("natural", language)
        self._language: Language = language
        self._random = random.Random(zlib.crc32(question.encode()))
        self._unused: dict[str, list[str]] = {}
        self._targets: dict[LookUp, str] = {}
        self._has_opened = False
        self._sought: set[LookUp] = set()
        self._parts: dict[LookUp, str] = {}  # what a part of the evidence gave
        self._worded_grounds: dict[LookUp, Grounds] = {}
        self._searched_again: set[LookUp] = set()  # in other words
        self._candidate = ""  # the one that is being checked
        self._compared_kinds: set[str] = set()

    def write(self, situation: Situation) -> str:
        """What came back, what it means, and what comes next or is answered."""
        earlier_parts = self._word_earlier(situation)
        parts = [
            *earlier_parts,
            *self._word_overturned(situation),
            *self._word_list_end(situation),
            *(self._word_conflict(conflict, situation.notes) for conflict in situation.conflicts),
            *self._word_results(situation),
        ]
        parts += [
            self._word_check_outcome(outcome, situation.notes)
            for outcome in situation.check_outcomes
            if outcome.result != "overturned"
        ]
        if situation.calls:
            parts += self._word_calls(situation, bool(earlier_parts))
        else:
            parts += self._word_single_source(situation)
            parts.append(self._word_end(situation))
        self._has_opened = True
        self._sought.update(call.look_up for call in situation.calls)
        if not any(parts):
            target = self._describe(situation.calls[0].look_up, situation.notes)
            parts = [self._choose("next").format(target=target)]
        return self._join(parts)

    def word_unread_question(self) -> str:
        """The question was not understood."""
        return self._choose("unread_question")

    # --- what came back -------------------------------------------------------------------

    def _word_earlier(self, situation: Situation) -> list[str]:
        parts = []
        tools = {call.look_up: call for call in situation.calls}
        repeated_checks = {check.call for check in situation.checks}
        for earlier in situation.earlier:
            later = tools.get(earlier.look_up)
            target = self._describe(earlier.look_up, situation.notes)
            if earlier.result == "outage" and earlier.call in repeated_checks:
                parts.append(self._choose("check_failed"))
            elif earlier.result == "outage" and later is not None:
                is_same = later.tool == earlier.tool
                key = "outage_retry" if is_same else "outage_switch"
                if later.call.document_id and not is_same:
                    key = "outage_read"
                form = self._choose(key)
                parts.append(form.format(target=target, document=later.call.document_id))
            elif earlier.result == "outage" and later is None and situation.check_outcomes:
                parts.append(self._choose("check_lost"))
            elif later is None or situation.candidate or later.call.page > 1:
                continue
            elif earlier.result in ("empty", "unhelpful") and not later.call.document_id:
                key = "empty" if earlier.result == "empty" else "off_topic"
                parts.append(self._choose(key).format(target=target))
        return parts

    def _word_overturned(self, situation: Situation) -> list[str]:
        """A check that changed the value comes before what follows from the new one."""
        return [
            self._choose("overturned").format(
                value=situation.notes.print_name(outcome.check.value),
                other=outcome.other,
                document=outcome.document_id,
            )
            for outcome in situation.check_outcomes
            if outcome.result == "overturned"
        ]

    def _word_list_end(self, situation: Situation) -> list[str]:
        """That the last page of a list had no hit, or none that counts."""
        results = {result.look_up for result in situation.results}
        for earlier in situation.earlier:
            if earlier.result == "outage" or earlier.look_up not in results:
                continue
            target = self._describe(earlier.look_up, situation.notes)
            if earlier.call.page > 1:
                key = "list_ended" if earlier.result == "empty" else "nothing_new"
                if earlier.call.page == MAX_PAGES and earlier.result != "empty":
                    key = "last_page"
                return [self._choose(key).format(page=earlier.call.page, target=target)]
            if earlier.look_up in self._searched_again:
                return [self._choose("no_others").format(target=target)]
        return []

    def _word_results(self, situation: Situation) -> list[str]:
        parts: list[str] = []
        previous: Established | None = None
        for result in situation.results:
            # A date of an application is the date of its drug: said once.
            if previous is not None and result.value and _repeats_value(result, previous):
                parts.pop()
            grounds = situation.grounds.get(result.look_up)
            if grounds is not None and grounds != self._worded_grounds.get(result.look_up):
                parts += self._word_grounds(grounds, situation.notes)
            parts += self._word_revision(result, situation)
            parts.append(self._word_result(result, situation.notes))
            previous = result
        return parts

    def _word_revision(self, result: Established, situation: Situation) -> list[str]:
        """That a record, as a whole, has another value than the part of it that was shown."""
        part = self._parts.get(result.look_up, result.value)
        records = [
            call.call.document_id
            for call in situation.earlier
            if call.look_up == result.look_up and call.call.document_id
        ]
        if part == result.value or not records:
            return []
        return [
            self._choose("revised").format(
                value=situation.notes.print_name(part),
                other=situation.notes.print_name(result.value),
                document=records[0],
            )
        ]

    def _word_grounds(self, grounds: Grounds, notes: Notes) -> list[str]:
        """What a value was counted, chosen or worked out from, and what was left out."""
        items = [notes.print_name(item) for item in grounds.items]
        values = [notes.print_name(value) for value in grounds.values]
        parts = []
        listed = self._list(items)
        if items and values:
            form = str(self._words["pair"])
            pairs = zip(items, values, strict=True)
            separator = str(self._words["candidate_separator"])
            listed = separator.join(form.format(item=item, value=value) for item, value in pairs)
        # Of a single date none is the last.
        if items or len(values) > 1:
            parts.append(
                self._choose_of("grounds", grounds.method).format(
                    items=listed,
                    first=values[0] if values else "",
                    last=values[-1] if values else "",
                    count=len(values),
                )
            )
        if grounds.left_out and grounds.reason is not None:
            left_out = self._list([notes.print_name(item) for item in grounds.left_out])
            parts.append(self._choose_of("left_out", grounds.reason).format(items=left_out))
        return parts

    def _word_result(self, result: Established, notes: Notes) -> str:
        self._compared_kinds.add(result.look_up.kind)
        if not result.value:
            target = self._describe(result.look_up, notes)
            return self._choose("absent").format(target=target)
        form = self._choose_of("results", result.look_up.kind)
        names = map(notes.print_name, result.look_up.inputs)
        return form.format(*names, value=notes.print_name(result.value))

    def _word_conflict(self, conflict: Conflict, notes: Notes) -> str:
        return self._choose("conflict_of_editions").format(
            value=notes.print_name(conflict.value),
            other=notes.print_name(conflict.other),
            document=conflict.document_id,
        )

    def _word_check_outcome(self, outcome: CheckOutcome, notes: Notes) -> str:
        check = outcome.check
        other_document = next(iter(check.documents), "")
        is_conflict = outcome.result == "conflict"
        source = self._words["sources"][check.source] if check.source else ""
        return self._choose(outcome.result).format(
            value=notes.print_name(check.value),
            document=other_document if is_conflict else outcome.document_id,
            other=outcome.other,
            other_document=outcome.document_id,
            source=source,
            subject=notes.print_name(check.look_up.inputs[0]),
            reason=self._choose_of(
                "reasons", "question" if check.source == "orange_book" else "authority"
            ),
        )

    def _word_single_source(self, situation: Situation) -> list[str]:
        """That the answer rests on its first source, where the last check brought no other."""
        results = {outcome.result for outcome in situation.check_outcomes}
        if not results or results & {*CONCLUSIVE, "confirmed_year"} or not situation.documents:
            return []
        return [self._choose("single_source").format(document=situation.documents[0])]

    # --- what comes next ------------------------------------------------------------------

    def _word_calls(self, situation: Situation, has_named_target: bool) -> list[str]:
        notes = situation.notes
        if situation.checks:
            return self._word_checks(situation)
        if not self._has_opened:
            return [self._word_opening(situation), *self._word_tool(situation)]
        if situation.candidate:
            has_failed = any(call.result == "outage" for call in situation.earlier)
            return [] if has_failed else self._word_partial(situation)
        if situation.calls[0].call.page > 1:
            return [self._choose("more_hits")]
        if all(call.look_up in situation.begun for call in situation.calls) and not any(
            call.call.document_id for call in situation.calls
        ):
            failed = {call.look_up for call in situation.earlier if call.result == "outage"}
            others = [call for call in situation.calls if call.look_up not in failed]
            return [self._word_search_on(others, situation.notes)] if others else []
        earlier_look_ups = {call.look_up for call in situation.earlier}
        new_calls = [call for call in situation.calls if call.look_up not in earlier_look_ups]
        reading = [call for call in situation.calls if call.call.document_id]
        if reading and has_named_target:
            return []
        if reading:
            targets = self._list([self._describe(call.look_up, notes) for call in reading])
            documents = self._list([call.call.document_id for call in reading])
            is_begun = reading[0].look_up in situation.begun
            key = "read_rest" if is_begun else "read"
            form = self._choose("read_several" if len(reading) > 1 else key)
            return [form.format(target=targets, document=documents)]
        parts: list[str] = []
        if new_calls:
            parts.append(self._word_new_calls(situation, new_calls))
        elif not has_named_target and _goes_to_other_tool(situation):
            target = self._describe(situation.calls[0].look_up, notes)
            parts.append(self._choose("switch").format(target=target))
        return [*parts, *self._word_tool(situation)]

    def _word_opening(self, situation: Situation) -> str:
        goal = self._describe_plan(situation.plan, situation.notes)
        targets = [self._describe(call.look_up, situation.notes) for call in situation.calls]
        steps = sum(not node.is_named for node in situation.plan.walk())
        is_direct = situation.calls[0].look_up.kind == situation.plan.kind and steps == 1
        if is_direct:
            return self._choose("open_direct").format(goal=goal)
        key = "open_parallel" if len(targets) > 1 else "open"
        number = self._words["numbers"].get(str(max(steps, 2)), str(steps))
        return self._choose(key).format(goal=goal, first=self._list(targets), steps=number)

    def _word_new_calls(self, situation: Situation, calls: Sequence[SentCall]) -> str:
        notes = situation.notes
        kinds = {call.look_up.kind for call in calls}
        chooses = any(_SELECTIONS.match(node.kind) for node in situation.plan.walk())
        # Where some were compared already, these are not the candidates, but what is still missing.
        is_first = not kinds & self._compared_kinds
        self._compared_kinds |= kinds
        if len(calls) > 1 and len(kinds) == 1 and chooses and is_first:
            names = [notes.print_name(call.look_up.inputs[0]) for call in calls]
            candidates = str(self._words["candidate_separator"]).join(names)
            form = self._choose_of("targets", calls[0].look_up.kind)
            others = map(notes.print_name, calls[0].look_up.inputs[1:])
            target = form.format(self._words["each"], *others)
            return self._choose("candidates").format(candidates=candidates, target=target)
        targets = [self._describe(call.look_up, notes) for call in calls]
        if len(targets) > 1:
            return self._choose("parallel").format(targets=self._list(targets))
        return self._choose("next").format(target=targets[0])

    def _word_partial(self, situation: Situation) -> list[str]:
        """A part of the evidence gives a value: the rest is looked at."""
        notes = situation.notes
        sent = situation.calls[0]
        # Of a step on the way the value is no candidate for the answer.
        is_answer = sent.look_up.kind == situation.plan.kind
        self._parts[sent.look_up] = situation.candidate
        target = self._describe(sent.look_up, notes)
        candidate = self._choose("candidate_of_part" if is_answer else "so_far").format(
            value=notes.print_name(situation.candidate), target=target
        )
        counted = self._word_count_so_far(situation, sent.look_up)
        if not sent.call.document_id:
            return [*counted, candidate, self._word_search_on([sent], notes)]
        form = self._choose("read_rest" if sent.look_up in situation.begun else "read")
        return [*counted, candidate, form.format(target=target, document=sent.call.document_id)]

    def _word_count_so_far(self, situation: Situation, look_up: LookUp) -> list[str]:
        """What is counted so far, which is said again only where it has changed."""
        grounds = situation.grounds.get(look_up)
        if grounds is None or grounds.method != "count":
            return []
        self._worded_grounds[look_up] = grounds
        return self._word_grounds(grounds, situation.notes)

    def _word_search_on(self, calls: Sequence[SentCall], notes: Notes) -> str:
        """That look-ups with a first result go on: to the next page, to other words, or to a search
        of their own."""
        look_ups = [call.look_up for call in calls]
        target = self._list([self._describe(look_up, notes) for look_up in look_ups])
        if calls[0].call.page > 1:
            return self._choose("more_hits")
        if not self._sought.intersection(look_ups):
            return self._choose("search_own")
        self._searched_again.update(look_ups)
        return self._choose("search_others").format(target=target)

    def _word_checks(self, situation: Situation) -> list[str]:
        """The candidate, and where it is checked: one sentence for checks of a kind."""
        notes = situation.notes
        candidate = word_answer(situation.candidate, notes, self._language)
        parts = []
        if candidate != self._candidate:
            parts.append(self._choose("candidate").format(value=candidate))
            self._candidate = candidate
        of_source: dict[str, list[Check]] = {}
        for check in situation.checks:
            of_source.setdefault(check.source, []).append(check)
        for source, checks in of_source.items():
            values = self._list(list(dict.fromkeys(notes.print_name(c.value) for c in checks)))
            documents = self._list([check.call.document_id for check in checks])
            form = self._choose("verify_second" if source else "verify_record")
            name = self._words["sources"][source] if source else ""
            parts.append(form.format(source=name, value=values, document=documents))
        return parts

    def _word_tool(self, situation: Situation) -> list[str]:
        """Why this tool, now and then; after an outage that is said already."""
        has_failed = any(call.result == "outage" for call in situation.earlier)
        is_mixed = len({call.tool for call in situation.calls}) > 1
        if has_failed or is_mixed or self._random.random() > _SHARE_WITH_TOOL:
            return []
        call = situation.calls[0]
        if call.tool == GENERAL:
            return [self._choose_of("tool", "general")]
        if not call.call.registry:
            return []
        if call.call.registry == "livertox" and call.look_up.kind != _LIVER_INJURY:
            return []
        key = _REASON_OF_SOURCE[call.call.registry]
        return [self._choose_of("tool", key)]

    def _word_end(self, situation: Situation) -> str:
        notes = situation.notes
        if situation.answer is None:
            key = "out_of_calls" if situation.is_out_of_calls else "give_up"
            target = self._describe(situation.missing[0], notes)
            return self._choose(key).format(target=target)
        cited = "; ".join(situation.documents[:_MAX_CITED])
        key = "answer" if situation.answer else "answer_absent"
        value = word_answer(situation.answer, notes, self._language)
        return self._choose(key).format(value=value, documents=cited)

    # --- words ----------------------------------------------------------------------------

    def _describe(self, look_up: LookUp, notes: Notes) -> str:
        """What is looked for, as a noun phrase; of one look-up always the same."""
        if look_up not in self._targets:
            form = self._choose_of("targets", look_up.kind)
            self._targets[look_up] = form.format(*map(notes.print_name, look_up.inputs))
        return self._targets[look_up]

    def _describe_plan(self, node: PlanNode, notes: Notes, depth: int = 0) -> str:
        """What is asked, as a noun phrase; inputs that steps find are phrases in it, up to the
        second, and "that drug" behind."""
        if node.is_named:
            return notes.print_name(node.value)
        if depth > 1:
            return str(self._words["that"].format(self._words["types"][node.step_kind.output]))
        form = self._choose_of("targets", node.kind)
        return form.format(*(self._describe_plan(given, notes, depth + 1) for given in node.inputs))

    def _list(self, phrases: Sequence[str]) -> str:
        if len(phrases) < 2:
            return "".join(phrases)
        separator, last = str(self._words["list_separator"]), str(self._words["list_and"])
        return separator.join(phrases[:-1]) + last + phrases[-1]

    def _choose(self, key: str) -> str:
        return self._draw(key, self._words[key])

    def _choose_of(self, group: str, key: str) -> str:
        forms: Mapping[str, list[str]] = self._words[group]
        if key not in forms and group == "targets":
            nouns = STEP_KINDS[key].wording(self._language).noun
            return nouns[0] if nouns else key.replace("_", " ") + " ({0})"
        return self._draw(f"{group}/{key}", forms[key])

    def _draw(self, key: str, forms: Sequence[str]) -> str:
        unused = self._unused.get(key)
        if not unused:
            unused = [*forms]
            self._random.shuffle(unused)
            self._unused[key] = unused
        return unused.pop()

    def _join(self, parts: Sequence[str]) -> str:
        """Sentences behind each other, each with a capital and one full stop."""
        space = "" if self._language == "zh" else " "
        text = space.join(part[:1].upper() + part[1:] for part in parts if part)
        return re.sub(r"(?<!\.)\.\.(?!\.)", ".", text)


def _repeats_value(result: Established, other: Established) -> bool:
    return result.value == other.value and result.look_up.kind != other.look_up.kind


def _goes_to_other_tool(situation: Situation) -> bool:
    """Whether a call for something that is still missing goes to another tool than before."""
    before = {call.look_up: call.tool for call in situation.earlier if call.result != "outage"}
    return any(
        {before.get(call.look_up), call.tool} == {GENERAL, MEDICAL} for call in situation.calls
    )


@functools.cache
def _read_words(style: TeachingStyle, language: Language) -> dict[str, Any]:
    words: dict[str, Any] = read_package_json(
        "medr_ray.trajectories.solver", f"{style}.{language}.json"
    )
    return words
