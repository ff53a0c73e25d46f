"""What the dashboard is told: services of one name together, and totals that only grow."""

from collections import defaultdict

import pytest

from medr_ray.governor.metrics import Counts, RayMetrics, ServiceState


class Recorder:
    """Counters and gauges by (name, service)."""

    def __init__(self) -> None:
        self.counted: dict[tuple[str, str], float] = defaultdict(float)
        self.shown: dict[tuple[str, str], float] = {}


class _Metric:
    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder, self.name = recorder, name

    def inc(self, gained: float, tags: dict[str, str]) -> None:
        self.recorder.counted[self.name, tags["service"]] += gained

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.recorder.shown[self.name, tags["service"]] = value


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(RayMetrics, "_metric", lambda metrics, name, counts: _Metric(made, name))
    return made


def state(
    key: str, granted: int, seats: int = 0, breaker: str = "closed", used: float = 0.0
) -> ServiceState:
    return ServiceState("read", key, Counts(granted=granted), 1, seats, 4, breaker, 0.0, used)


def test_services_of_one_name_are_one_series(recorder: Recorder) -> None:
    metrics = RayMetrics()
    metrics.publish(
        [state("a", 3, seats=1, used=0.2), state("b", 4, seats=2, breaker="open", used=0.7)]
    )
    metrics.publish(
        [state("a", 5, seats=1, used=0.2), state("b", 4, seats=2, breaker="open", used=0.7)]
    )
    assert recorder.counted == {("granted", "read"): 9}
    assert {name: value for (name, _), value in recorder.shown.items()} == {
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
    assert recorder.counted["granted", "read"] == 5
