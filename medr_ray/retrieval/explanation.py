"""Why a hit stands where it stands: what each factor added to its score."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Factor:
    """``name`` of the factor (words, meaning, evidence, guideline, journal, recency, retraction),
    what it was found to be, and what it added."""

    name: str
    found: str
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """The factors of a score; their contributions add up to it."""

    factors: tuple[Factor, ...] = ()

    @property
    def total(self) -> float:
        return sum(one.contribution for one in self.factors)


UNEXPLAINED = Explanation()


def scaled(factors: Iterable[Factor], weight: float) -> tuple[Factor, ...]:
    """The factors as they count in a sum they enter with this weight."""
    return tuple(Factor(one.name, one.found, weight * one.contribution) for one in factors)
