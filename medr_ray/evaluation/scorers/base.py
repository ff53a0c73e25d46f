"""What a scorer is, and what it answers."""

import functools
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Final, Protocol

from medr_ray.core.records import Task, Verdict

CORRECT: Final = "correct"
INCORRECT: Final = "incorrect"
UNSCORED: Final = "unscored"

# Hexadecimal digits of a digest within an identity: 48 bits, for the few scorers of a run.
_DIGEST_CHARACTERS = 12


@dataclass(frozen=True)
class Score:
    """What a scorer makes of a prediction.

    ``value`` is in [0, 1]: 1 or 0 where the scorer knows right and wrong only, between them where
    it is a measure such as F1; None exactly where the verdict is "unscored". ``extracted`` is what
    was taken out of the prediction and compared. ``scorer`` is the scorer's name, ``judge`` the
    model that decided, "" where none did, and ``prompt`` the name and digest of what it was asked
    with. ``reason`` is the judge's reply, or what failed.
    """

    verdict: Verdict
    value: float | None = None
    extracted: str = ""
    scorer: str = ""
    judge: str = ""
    reason: str = ""
    prompt: str = ""


class Scorer(Protocol):
    """Scores one prediction. A scorer that fails on it leaves it unscored."""

    @property
    def name(self) -> str:
        """What reports call it: "rules", "gaia"."""
        ...

    def identity(self) -> str:
        """A file name that changes whenever a verdict may: with code, judge, endpoint, prompt."""
        ...

    async def score(self, task: Task, prediction: str | None) -> Score:
        """The score of ``prediction``, None when the agent gave no answer, which is incorrect.

        Raises ConfigError (a refused key, an account without money) and BudgetExceeded, which
        would leave every other answer unscored too: they end the scoring, and the scores until
        then are kept.
        """
        ...


def build_score(scorer: str, is_correct: bool, extracted: str, reason: str = "") -> Score:
    """The score of a scorer without a model that knows right and wrong only."""
    verdict: Verdict = CORRECT if is_correct else INCORRECT
    return Score(verdict, float(is_correct), extracted, scorer, reason=reason)


def build_identity(name: str, *parts: str) -> str:
    """The identity of a scorer: its name and a digest of all that decides its verdicts."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{name}-{digest[:_DIGEST_CHARACTERS]}"


@functools.cache
def identify_code(name: str, *modules: ModuleType) -> str:
    """The identity of a scorer that is nothing but the code of ``modules``.

    Any edit of them changes it. Scoring again by code alone costs next to nothing; a verdict kept
    from other code would be worse.
    """
    return build_identity(name, *(inspect.getsource(module) for module in modules))


@dataclass(frozen=True)
class PureScorer:
    """A scorer that is a function of task and prediction, decided by the code of ``modules``."""

    name: str
    compare: Callable[[Task, str], Score]
    modules: tuple[ModuleType, ...]

    def identity(self) -> str:
        return identify_code(self.name, *self.modules)

    async def score(self, task: Task, prediction: str | None) -> Score:
        if prediction is None:
            return build_score(self.name, False, "", "no answer")
        return self.compare(task, prediction)


@dataclass(frozen=True)
class MissingJudge:
    """Stands for an official scorer that is a model, where no judge is configured.

    Every answer stays unscored under its name: what other rules say is no score of this benchmark.
    It costs nothing, and is no failure that could pass.
    """

    name: str

    def identity(self) -> str:
        return f"{self.name}-no-judge"

    async def score(self, task: Task, prediction: str | None) -> Score:
        return Score(
            UNSCORED,
            scorer=self.name,
            reason="its official scorer is a language model and none is configured: set "
            "evaluation.judge: llm and the judge's endpoint (llm)",
        )
