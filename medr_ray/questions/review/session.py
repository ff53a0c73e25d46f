"""A reader's session: one drawn question after another, and a verdict on each by keys."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from medr_ray.core.records import Question
from medr_ray.questions.review.defects import DEFECTS, DEFECTS_BY_KEY, Defect, DefectCode
from medr_ray.questions.review.verdicts import Decision, ReaderVerdict

KEYS = (
    "a accept   r refuse (or the digit of a defect)   n note   s skip   b back to the last verdict"
    "   q quit   ? defects"
)
_RESEARCH_KEYS = "a research question to a physician or an analyst?   y yes   n no   b back"
_DEFECT_KEYS = "digits of the defects, then Enter   b back"
_ENTER = ("\r", "\n")


class KeySource(Protocol):
    """Where a session's keys come from: a terminal, or any text."""

    def read_key(self) -> str:
        """The next character; "" when there are no more."""
        ...

    def read_line(self, prompt: str) -> str:
        """The rest of the line, after a prompt of one line."""
        ...


@dataclass(frozen=True)
class Judgement:
    """What the reader says of the question on the screen."""

    decision: Decision
    codes: tuple[DefectCode, ...]
    is_research: bool
    note: str


class _Skipped(Exception):
    """The reader passes the question over."""


class _WentBack(Exception):
    """The reader returns to what came before."""


class _Quit(Exception):
    """The reader stops, or there are no more keys."""


class ReviewSession:
    """Shows the drawn questions that the reader has not judged yet.

    ``standing`` has the reader's verdicts, the last given last. ``show`` prints a question by its
    id with its chain and evidence, ``say`` a line. ``save`` keeps a judgement; it returns when the
    judgement is safe.
    """

    def __init__(
        self,
        drawn: Sequence[Question],
        standing: Sequence[ReaderVerdict],
        keys: KeySource,
        show: Callable[[str], None],
        say: Callable[[str], None],
        save: Callable[[Question, Judgement], ReaderVerdict],
    ) -> None:
        self._drawn = {question.task.task_id: question for question in drawn}
        mine = [verdict for verdict in standing if verdict.question_id in self._drawn]
        self._verdicts: dict[str, ReaderVerdict] = {
            verdict.question_id: verdict for verdict in mine
        }
        # The questions one can go back to; the last one judged is the first.
        self._history = list(self._verdicts)
        self._keys = keys
        self._show = show
        self._say = say
        self._save = save

    @property
    def verdicts(self) -> Mapping[str, ReaderVerdict]:
        """The reader's verdicts on the drawn questions, by id."""
        return self._verdicts

    def run(self) -> None:
        """Ask until every question is judged or passed over, or the reader quits."""
        pending = deque(task_id for task_id in self._drawn if task_id not in self._verdicts)
        if not pending:
            return
        self._say_defects()
        try:
            while pending:
                self._handle_question(pending)
        except _Quit:
            self._say("stopped; the same command goes on here")

    def _handle_question(self, pending: deque[str]) -> None:
        """Ask about the first of the pending questions."""
        task_id = pending.popleft()
        try:
            judgement = self._ask(task_id)
        except _Skipped:
            # One that was judged before keeps its verdict, and can be gone back to.
            if task_id in self._verdicts:
                self._history.append(task_id)
            return
        except _WentBack:
            pending.appendleft(task_id)
            if self._history:
                pending.appendleft(self._history.pop())
            else:
                self._say("there is no verdict to go back to")
            return
        self._verdicts[task_id] = self._save(self._drawn[task_id], judgement)
        self._history.append(task_id)

    def _ask(self, task_id: str) -> Judgement:
        position = list(self._drawn).index(task_id) + 1
        count = len(self._drawn)
        self._say(f"\n--- question {position} of {count}, {len(self._verdicts)} judged ---")
        self._show(task_id)
        earlier = self._verdicts.get(task_id)
        if earlier is not None:
            self._say(f"your verdict: {earlier.describe()}; s keeps it")
        note = ""
        while True:
            self._say(KEYS)
            key = self._read_key(("a", "r", "n", "s", "b", "q", "?", *DEFECTS_BY_KEY))
            if key == "s":
                raise _Skipped
            if key == "b":
                raise _WentBack
            if key == "?":
                self._say_defects()
                continue
            if key == "n":
                note = " ".join(self._keys.read_line("note (one line):").split())
                continue
            try:
                codes = () if key == "a" else self._ask_defects(DEFECTS_BY_KEY.get(key))
                is_research = self._ask_research()
            except _WentBack:
                continue
            return Judgement("refuse" if codes else "accept", codes, is_research, note)

    def _ask_defects(self, first: Defect | None) -> tuple[DefectCode, ...]:
        """The codes that the reader picks, in the order of their keys; at least one."""
        picked = {defect.key for defect in DEFECTS if defect is first}
        while True:
            names = ", ".join(defect.code for defect in DEFECTS if defect.key in picked)
            self._say(f"refuse: {names or '-'}   ({_DEFECT_KEYS})")
            key = self._read_key((*DEFECTS_BY_KEY, *_ENTER, "b", "q"))
            if key == "b":
                raise _WentBack
            if key in DEFECTS_BY_KEY:
                # A digit pressed again takes the defect back.
                picked ^= {key}
            elif picked:
                return tuple(defect.code for defect in DEFECTS if defect.key in picked)

    def _ask_research(self) -> bool:
        self._say(_RESEARCH_KEYS)
        key = self._read_key(("y", "n", "b", "q"))
        if key == "b":
            raise _WentBack
        return key == "y"

    def _read_key(self, allowed: Sequence[str]) -> str:
        """The next of the allowed keys, in lower case. White space that is none of them is passed
        over: text that is piped in has line breaks."""
        while True:
            key = self._keys.read_key().lower()
            if not key or (key == "q" and "q" in allowed):
                raise _Quit
            if key in allowed:
                return key
            if not key.isspace():
                names = " ".join(name for name in allowed if not name.isspace())
                self._say(f"{key!r} is no key here: {names}")

    def _say_defects(self) -> None:
        for defect in DEFECTS:
            self._say(f"  {defect.key}  {defect.code:<22}{defect.meaning}")
