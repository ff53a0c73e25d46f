"""Explains the score of a hit by the part that each factor added to it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Factor:
    """One part of a score.

    ``name`` is words, meaning, evidence, guideline, journal, recency or retraction; ``value`` is
    what the document has of it, for people; ``contribution`` is what it added.
    """

    name: str
    value: str
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """The factors of a score; their contributions add up to it."""

    factors: tuple[Factor, ...] = ()

    @property
    def total(self) -> float:
        return sum(factor.contribution for factor in self.factors)


UNEXPLAINED = Explanation()


def scale_factors(factors: Iterable[Factor], weight: float) -> tuple[Factor, ...]:
    """The factors as they count in a sum that they enter with this weight."""
    return tuple(
        Factor(factor.name, factor.value, weight * factor.contribution) for factor in factors
    )
