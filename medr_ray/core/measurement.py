"""One row of a benchmark of this package: our figure, a peer's, their ratio and the goal.

A ratio above 1 is good for every measure. A peer that is not installed gives a skipped row with the
command that installs it, and never a pass.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measurement:
    """One measured figure. Make it with ``build_measurement`` or ``skip_measurement``, which fill
    in ``ratio`` and ``met``.

    ``ours`` and ``peer`` are in ``unit``. ``ratio`` is ours / peer, or peer / ours where lower is
    better, and None without a peer. ``goal`` bounds what ``goal_of`` names; ``met`` is None when
    there is no goal.
    """

    measure: str
    ours: float | None
    peer: float | None
    peer_name: str
    ratio: float | None
    goal: float | None
    met: bool | None
    goal_of: Literal["ratio", "ours"] | None = None
    unit: str = ""
    note: str = ""


def build_measurement(
    measure: str,
    ours: float,
    peer: float | None = None,
    peer_name: str = "",
    *,
    least_ratio: float | None = None,
    goal: float | None = None,
    lower_is_better: bool = False,
    unit: str = "",
    note: str = "",
) -> Measurement:
    """Return a measured figure with its ratio and whether it meets its goal.

    ``goal`` is a bound for ``ours`` (from above where lower is better), ``least_ratio`` one for the
    ratio to the peer; at most one of the two. Raises ValueError for both, and for a ratio goal
    without a peer.
    """
    if least_ratio is not None and (goal is not None or peer is None):
        raise ValueError(f"{measure}: give least_ratio with a peer and without goal")
    ratio = _compute_ratio(ours, peer, lower_is_better)
    bound: float | None = None
    met: bool | None = None
    goal_of: Literal["ratio", "ours"] | None = None
    if least_ratio is not None:
        bound = least_ratio
        met = ratio is not None and ratio >= least_ratio
        goal_of = "ratio"
    elif goal is not None:
        bound = goal
        met = ours <= goal if lower_is_better else ours >= goal
        goal_of = "ours"
    return Measurement(measure, ours, peer, peer_name, ratio, bound, met, goal_of, unit, note)


def skip_measurement(
    measure: str, peer_name: str, install: str, ours: float | None = None, unit: str = ""
) -> Measurement:
    """Return the row of a missing peer; ``install`` is the command that installs it."""
    note = f"skipped: {install}"
    return Measurement(measure, ours, None, peer_name, None, None, False, None, unit, note)


def _compute_ratio(ours: float, peer: float | None, lower_is_better: bool) -> float | None:
    """Return the ratio by which ours is better; None without a peer or for a division by zero."""
    if peer is None:
        return None
    better, worse = (peer, ours) if lower_is_better else (ours, peer)
    return better / worse if worse else None
