"""The rules teacher's thoughts: a move of the solver in words.

A thought states what the last response established ("lead sponsor of NCT00777179 = Pfizer.") and
why the next call follows. The templates, and what each kind of step looks for, are in
``thoughts.LANGUAGE.json``; names stay as documents print them. Of several forms the question and
the number of the thought choose one, so that equal episodes have equal thoughts.
"""

import zlib
from collections.abc import Sequence
from typing import Any, Literal

from medr_ray.core.prompts import read_package_json
from medr_ray.core.records import Language
from medr_ray.questions.drafting.answer_names import NOT_RECORDED
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.trajectories.solver.notes import Notes
from medr_ray.trajectories.solver.rules import Established, LookUp

Reason = Literal["needed", "still_needed", "failed", "reading"]


class ThoughtWriter:
    """Writes the thoughts about one question."""

    def __init__(self, language: Language, question: str) -> None:
        self._words: dict[str, Any] = read_package_json(
            "medr_ray.trajectories.solver", f"thoughts.{language}.json"
        )
        self._language: Language = language
        self._seed = zlib.crc32(question.encode())
        self._count = 0

    def word_result(self, result: Established, notes: Notes) -> str:
        """What was established: "TARGET = VALUE."."""
        target = self.describe(result.look_up, notes)
        if not result.value:
            return str(self._words["absent"]).format(target=target)
        value = notes.print_name(result.value)
        return str(self._words["result"]).format(target=target, value=value)

    def word_call(
        self, look_up: LookUp, reason: Reason, notes: Notes, candidates: Sequence[str] = ()
    ) -> str:
        """Why a call follows. ``candidates`` are the names that it is to decide between."""
        target = self.describe(look_up, notes)
        if reason == "needed" and len(candidates) > 1:
            names = str(self._words["candidate_separator"]).join(candidates)
            return self._choose("candidates").format(candidates=names, target=target)
        return self._choose(reason).format(target=target)

    def word_giving_up(self, look_up: LookUp, notes: Notes, *, is_out_of_calls: bool) -> str:
        """Why there is no answer: no call is left, or no source states the target."""
        key = "out_of_calls" if is_out_of_calls else "not_stated"
        return str(self._words[key]).format(target=self.describe(look_up, notes))

    def word_unread_question(self) -> str:
        """The question was not understood."""
        return str(self._words["unread_question"])

    def word_answer(self, value: str, notes: Notes) -> str:
        """The answer as the records print it; that none is recorded where the value is ""."""
        return notes.print_name(value) if value else NOT_RECORDED[self._language][0]

    def describe(self, look_up: LookUp, notes: Notes) -> str:
        """What is looked for: "lead sponsor of NCT00777179"."""
        names = [*map(notes.print_name, look_up.inputs)]
        return self._find_target(look_up.kind).format(*names)

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
