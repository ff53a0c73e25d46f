"""What the governor counts, as a snapshot and as Ray metrics (the dashboard, Prometheus)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from medr_ray.governor.protocol import Outcome

_TAG = "service"
_SUMMED, _LARGEST = ("waiting", "seats", "concurrency"), ("utilisation", "paused", "circuit_open")


@dataclass
class Counts:
    """Totals since the governor started: requests ``granted`` and over, of which ``refused`` (429,
    503) and ``failed``; tokens and US dollars used."""

    granted: int = 0
    refused: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.granted += 1
        self.refused += outcome.result == "refused"
        self.failed += outcome.result == "failed"
        self.input_tokens += outcome.used.input_tokens
        self.output_tokens += outcome.used.output_tokens
        self.usd += outcome.usd


@dataclass(frozen=True)
class ServiceState:
    """A service now: requests ``waiting``, ``seats`` held of the ``concurrency`` allowed, the
    circuit ``breaker`` (closed, open, half-open), seconds it is ``paused`` for, and the
    ``utilisation`` of its tightest limit, 0 to 1."""

    name: str
    key: str
    counts: Counts
    waiting: int
    seats: int
    concurrency: int
    breaker: str
    paused: float
    utilisation: float

    @property
    def circuit_open(self) -> float:
        """1 while nothing is sent to it, else 0."""
        return float(self.breaker == "open")


class RayMetrics:
    """``medr_governor_*``: counters of the totals and gauges of the rest, by a service's name.
    Services of one name (several keys of one host, the hosts that pages are read from) are added
    up; of ratios, pauses and open circuits the largest is shown."""

    def __init__(self) -> None:
        self._metrics: dict[str, Any] = {}
        self._before: dict[str, Counts] = {}

    def publish(self, states: Iterable[ServiceState]) -> None:
        """Bring the metrics up to date."""
        named: dict[str, list[ServiceState]] = {}
        for state in states:
            named.setdefault(state.name, []).append(state)
        before, self._before = (
            self._before,
            {one.key: one.counts for same in named.values() for one in same},
        )
        for name, same in named.items():
            for one in same:
                self._count(name, one.counts, before.get(one.key, Counts()))
            for figure, value in _together(same).items():
                self._metric(figure, False).set(value, {_TAG: name})

    def _count(self, service: str, now: Counts, before: Counts) -> None:
        for name, value in asdict(now).items():
            if (gained := value - getattr(before, name)) > 0:
                self._metric(name, True).inc(gained, {_TAG: service})

    def _metric(self, name: str, counts: bool) -> Any:
        from ray.util.metrics import Counter, Gauge

        kind = Counter if counts else Gauge
        if name not in self._metrics:
            self._metrics[name] = kind(
                f"medr_governor_{name}", f"Calls to services: {name}", tag_keys=(_TAG,)
            )
        return self._metrics[name]


def _together(states: list[ServiceState]) -> dict[str, float]:
    """The gauges of services of one name."""
    return {
        **{name: sum(getattr(one, name) for one in states) for name in _SUMMED},
        **{name: max(getattr(one, name) for one in states) for name in _LARGEST},
    }


def frozen(states: Iterable[ServiceState]) -> tuple[ServiceState, ...]:
    """Copies that do not go on counting."""
    return tuple(replace(state, counts=replace(state.counts)) for state in states)
