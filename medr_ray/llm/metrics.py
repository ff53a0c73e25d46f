"""What the governor counts, as a snapshot and as Ray metrics (the dashboard, Prometheus)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from medr_ray.llm.messages import Outcome

_TAG = "service"


@dataclass
class Counts:
    """Totals since the governor started: requests ``granted`` and over, of which ``refused`` (429, 503) and
    ``failed``; tokens and US dollars used."""

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
    """A service now: requests ``waiting``, ``seats`` held of the ``concurrency`` allowed, the circuit ``breaker``
    (closed, open, half-open), seconds it is ``paused`` for, and the ``utilisation`` of its tightest limit, 0 to 1."""

    name: str
    key: str
    counts: Counts
    waiting: int
    seats: int
    concurrency: int
    breaker: str
    paused: float
    utilisation: float

    def figures(self) -> dict[str, float]:
        """Everything that is a number, by name."""
        plain = asdict(self)
        return {**plain.pop("counts"), **{name: one for name, one in plain.items() if isinstance(one, int | float)},
                "circuit_open": float(self.breaker == "open")}


class RayMetrics:
    """``medr_governor_*``: counters of the totals and gauges of the rest, by service."""

    def __init__(self) -> None:
        self._metrics: dict[str, Any] = {}
        self._before: dict[tuple[str, str], float] = {}

    def publish(self, states: Iterable[ServiceState]) -> None:
        """Bring the metrics up to date."""
        totals = asdict(Counts())
        for state in states:
            for name, value in state.figures().items():
                if name in totals:
                    self._count(name, state, value)
                else:
                    self._metric(name, False).set(value, {_TAG: state.name})

    def _count(self, name: str, state: ServiceState, value: float) -> None:
        gained = value - self._before.get((name, state.key), 0.0)
        self._before[name, state.key] = value
        if gained > 0:
            self._metric(name, True).inc(gained, {_TAG: state.name})

    def _metric(self, name: str, counts: bool) -> Any:
        from ray.util.metrics import Counter, Gauge

        kind = Counter if counts else Gauge
        if name not in self._metrics:
            self._metrics[name] = kind(f"medr_governor_{name}", f"Calls to services: {name}", tag_keys=(_TAG,))
        return self._metrics[name]


def frozen(states: Iterable[ServiceState]) -> tuple[ServiceState, ...]:
    """Copies that do not go on counting."""
    return tuple(replace(state, counts=replace(state.counts)) for state in states)
