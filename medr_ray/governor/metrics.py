"""The governor's counts, as a snapshot and as Ray metrics (for the dashboard and Prometheus)."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from medr_ray.governor.circuit_breaker import CircuitState
from medr_ray.governor.protocol import Outcome

_SERVICE_TAG = "service"


@dataclass
class RequestCounts:
    """Totals since the governor started: requests ``granted`` that are over, of which ``refused``
    (429, 503) and ``failed``; tokens and US dollars used. The field names are the metrics'."""

    granted: int = 0
    refused: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0

    def add_outcome(self, outcome: Outcome) -> None:
        self.granted += 1
        self.refused += outcome.result == "refused"
        self.failed += outcome.result == "failed"
        self.input_tokens += outcome.used.input_tokens
        self.output_tokens += outcome.used.output_tokens
        self.usd += outcome.usd


@dataclass(frozen=True)
class ServiceState:
    """A service now: requests ``waiting``, ``leases`` held of the ``concurrency`` allowed, the
    state of its circuit ``breaker``, seconds for which it is still ``paused``, and the
    ``utilisation`` of its tightest limit, 0 to 1."""

    name: str
    key: str
    counts: RequestCounts
    waiting: int
    leases: int
    concurrency: int
    breaker: CircuitState
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
        self._published: dict[str, RequestCounts] = {}  # by service key

    def publish(self, states: Iterable[ServiceState]) -> None:
        """Bring the metrics up to date."""
        states_by_name: dict[str, list[ServiceState]] = {}
        for state in states:
            states_by_name.setdefault(state.name, []).append(state)
        published = self._published
        # Made anew, so that services that the governor forgot are forgotten here as well.
        self._published = {}
        for name, namesakes in states_by_name.items():
            for state in namesakes:
                self._published[state.key] = state.counts
                # A service that was forgotten and is back starts from zero again.
                before = published.get(state.key, RequestCounts())
                self._publish_counters(name, state.counts, before)
            for gauge, value in _combine_gauges(namesakes).items():
                self._get_metric(gauge, False).set(value, {_SERVICE_TAG: name})

    def _publish_counters(self, service: str, now: RequestCounts, before: RequestCounts) -> None:
        for name, value in asdict(now).items():
            # Ray's counters take increases, while the governor has totals.
            increase = value - getattr(before, name)
            if increase > 0:
                self._get_metric(name, True).inc(increase, {_SERVICE_TAG: service})

    def _get_metric(self, name: str, is_counter: bool) -> Any:
        from ray.util.metrics import Counter, Gauge

        if name not in self._metrics:
            metric_class = Counter if is_counter else Gauge
            self._metrics[name] = metric_class(
                f"medr_governor_{name}", f"Calls to services: {name}", tag_keys=(_SERVICE_TAG,)
            )
        return self._metrics[name]


def _combine_gauges(states: Sequence[ServiceState]) -> dict[str, float]:
    """The gauges of the services of one name, by metric. Dashboards know the leases as
    ``seats``."""
    return {
        "waiting": sum(state.waiting for state in states),
        "seats": sum(state.leases for state in states),
        "concurrency": sum(state.concurrency for state in states),
        "utilisation": max(state.utilisation for state in states),
        "paused": max(state.paused for state in states),
        "circuit_open": max(state.circuit_open for state in states),
    }


def copy_states(states: Iterable[ServiceState]) -> tuple[ServiceState, ...]:
    """Copies that do not go on counting."""
    return tuple(replace(state, counts=replace(state.counts)) for state in states)
