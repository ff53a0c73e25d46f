"""What the dashboard shows: services of one name together, and totals that only grow."""

from collections import defaultdict

import pytest

from medr_ray.governor.gate import Gate
from medr_ray.governor.limits import Limits
from medr_ray.governor.metrics import RayMetrics, RequestCounts, ServiceState


class Recorder:
    """Counters and gauges by (name, service)."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, str], float] = defaultdict(float)
        self.gauges: dict[tuple[str, str], float] = {}


class _Metric:
    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder, self.name = recorder, name

    def inc(self, increase: float, tags: dict[str, str]) -> None:
        self.recorder.counters[self.name, tags["service"]] += increase

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.recorder.gauges[self.name, tags["service"]] = value


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(
        RayMetrics, "_get_metric", lambda metrics, name, is_counter: _Metric(recorder, name)
    )
    return recorder


def state(
    key: str, granted: int, leases: int = 0, breaker: str = "closed", used: float = 0.0
) -> ServiceState:
    return ServiceState(
        "read", key, RequestCounts(granted=granted), 1, leases, 4, breaker, 0.0, used
    )


def test_services_of_one_name_are_one_series(recorder: Recorder) -> None:
    metrics = RayMetrics()
    metrics.publish(
        [state("a", 3, leases=1, used=0.2), state("b", 4, leases=2, breaker="open", used=0.7)]
    )
    metrics.publish(
        [state("a", 5, leases=1, used=0.2), state("b", 4, leases=2, breaker="open", used=0.7)]
    )
    assert recorder.counters == {("granted", "read"): 9}
    assert {name: value for (name, _), value in recorder.gauges.items()} == {
        "waiting": 2,
        "seats": 3,
        "concurrency": 8,
        "utilisation": 0.7,
        "paused": 0,
        "circuit_open": 1,
    }


def test_a_service_that_was_forgotten_counts_on_when_it_is_back(recorder: Recorder) -> None:
    metrics = RayMetrics()
    for states in ([state("a", 3)], [], [state("a", 2)]):
        metrics.publish(states)
    assert recorder.counters["granted", "read"] == 5


@pytest.mark.parametrize(
    ("service", "label"),
    [
        ("https://me:secret@api.example.org:8443/v1/token-4711 small", "api.example.org:8443"),
        ("mcp https://tools.example.org/s/token-4711?key=secret", "tools.example.org"),
        ("PubMed", "PubMed"),
    ],
)
def test_a_label_holds_the_host_and_nothing_else_of_an_address(service: str, label: str) -> None:
    gate = Gate(service, Limits(requests=1.0), secret="secret")
    assert gate._service.name == label
