"""Rate limits shared by eight processes on Ray: never above, nearly all used, also after kill -9;
overhead.

A service on loopback notes when each request arrives and how many are in flight; eight Ray actors
call it through the gate as fast as it lets them. Windows are counted at the service. The overhead
is that of one process whose requests come one after another and that the limits never hold up,
beside a round trip to an actor before and after each request.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ray

from medr_ray.core.config import RayConfig
from medr_ray.core.measurement import Measurement, build_measurement
from medr_ray.core.session import ray_session
from medr_ray.governor.gate import Gate, Limits
from medr_ray.governor.protocol import LEASE_SECONDS

_PROCESSES = 8
_AT_ONCE = 4  # requests that wait in each process
_SERVICE_SECONDS = 0.02
_SECONDS_BEFORE_KILL = 2.0  # seconds of work before a kill
_GRID = 0.1  # seconds between the moments after a kill at which the rate is looked at
_RECOVERY = 2.0  # seconds over which the rate is measured at each of these moments
_RATES = [Limits(20, 1.0, concurrency=64), Limits(100, 2.0, concurrency=64)]


class Service:
    """The service on loopback. Times are those of ``time.monotonic``, one clock for all processes
    of a host."""

    def __init__(self) -> None:
        self._arrivals: list[float] = []
        self._running = self._peak_count = 0

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seconds = float(await reader.readline())
        self._arrivals.append(time.monotonic())
        self._running += 1
        self._peak_count = max(self._peak_count, self._running)
        await asyncio.wait(
            {asyncio.ensure_future(reader.read())}, timeout=seconds
        )  # until then, or the caller is gone
        self._running -= 1
        writer.close()

    async def seen(self) -> tuple[list[float], int, int]:
        """(arrivals since last asked, in flight now, most in flight)."""
        arrivals, self._arrivals = self._arrivals, []
        return arrivals, self._running, self._peak_count


class Caller:
    """A process that calls the service, or nothing at all, through gates."""

    def pid(self) -> int:
        return os.getpid()

    async def call(self, gate: Gate, port: int, until: float, at_once: int, seconds: float) -> None:
        """Have ``at_once`` requests wait or run until the time is over."""
        await asyncio.gather(*(self._calls(gate, port, until, seconds) for _ in range(at_once)))

    async def _calls(self, gate: Gate, port: int, until: float, seconds: float) -> None:
        while time.monotonic() < until:
            async with gate.permit():
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"{seconds}\n".encode())
                await reader.read()
                writer.close()

    async def permits(self, gate: Gate, count: int) -> float:
        """Seconds per permit."""
        begun = time.perf_counter()
        for _ in range(count):
            async with gate.permit():
                await asyncio.sleep(0)
        return (time.perf_counter() - begun) / count

    async def round_trips(self, actor: Any, count: int) -> float:
        """Seconds per request that calls an actor before it starts and after it ends."""
        begun = time.perf_counter()
        for _ in range(count):
            await actor.seen.remote()
            await asyncio.sleep(0)
            await actor.seen.remote()
        return (time.perf_counter() - begun) / count


def measure(quick: bool) -> Iterator[Measurement]:
    ray.cloudpickle.register_pickle_by_value(
        sys.modules[__name__]
    )  # workers do not import the benchmarks
    with ray_session(RayConfig()):
        service = ray.remote(Service).options(num_cpus=0).remote()
        port = ray.get(service.open.remote())
        callers = [
            ray.remote(Caller).options(num_cpus=0.1, max_concurrency=100).remote()
            for _ in range(_PROCESSES)
        ]
        ray.get([caller.pid.remote() for caller in callers])
        yield from _overhead(callers[0], service, 300 if quick else 3000)
        for limits in _RATES:
            yield from _rate(limits, service, port, callers, (4 if quick else 30) + limits.seconds)
        yield _leases_after_kill(service, port, callers)
        yield _rate_after_kill(
            _RATES[0], service, port, callers[2:], LEASE_SECONDS / 2 if quick else LEASE_SECONDS
        )


def _overhead(caller: Any, service: Any, trips: int) -> Iterator[Measurement]:
    for name, limits in (("limits on requests", Limits(1e6)), ("concurrency alone", Limits(None))):
        gate = Gate(f"overhead, {name}", limits)
        ray.get(caller.permits.remote(gate, trips))
        ours = ray.get(caller.permits.remote(gate, 20 * trips))
        peer = ray.get(caller.round_trips.remote(service, trips))
        yield build_measurement(
            f"overhead per permit, {name}",
            1e3 * ours,
            1e3 * peer,
            "a round trip before and after each request",
            goal=2.0,
            lower_is_better=True,
            unit="ms",
        )


def _start(
    limits: Limits, port: int, callers: Sequence[Any], seconds: float
) -> tuple[list[Any], float]:
    gate = Gate(f"{limits.requests:g} in {limits.seconds:g} s", limits)
    until = time.monotonic() + seconds
    return [
        caller.call.remote(gate, port, until, _AT_ONCE, _SERVICE_SECONDS) for caller in callers
    ], until


def _rate(
    limits: Limits, service: Any, port: int, callers: Sequence[Any], seconds: float
) -> Iterator[Measurement]:
    ray.get(service.seen.remote())
    running, until = _start(limits, port, callers, seconds)
    ray.get(running)
    arrivals = sorted(ray.get(service.seen.remote())[0])
    steady = [moment for moment in arrivals if arrivals[0] + limits.seconds <= moment < until]
    allowed = (limits.requests or 0) * (until - arrivals[0] - limits.seconds) / limits.seconds
    note = f"{_PROCESSES} processes with {_AT_ONCE} requests each, {len(arrivals)} arrivals"
    name = f"{limits.requests:g} requests in {limits.seconds:g} s"
    yield build_measurement(
        f"{name}: most in any window",
        _peak_count(arrivals, limits.seconds),
        goal=limits.requests,
        lower_is_better=True,
        unit="requests",
        note=note,
    )
    yield build_measurement(
        f"{name}: share used", len(steady) / allowed, goal=0.95, note="after the first window"
    )


def _peak_count(arrivals: Sequence[float], seconds: float) -> int:
    """The most of the sorted ``arrivals`` within any window."""
    peak = first = 0
    for last, moment in enumerate(arrivals):
        while arrivals[first] <= moment - seconds:
            first += 1
        peak = max(peak, last - first + 1)
    return peak


def _count_between(arrivals: Sequence[float], begin: float, end: float) -> int:
    return sum(begin <= moment < end for moment in arrivals)


def _leases_after_kill(service: Any, port: int, callers: Sequence[Any]) -> Measurement:
    """A process holds all leases and is killed; the next one waits."""
    gate = Gate("leases", Limits(None, concurrency=8))
    dead, alive = callers[:2]
    pid = ray.get(dead.pid.remote())
    dead.call.remote(gate, port, time.monotonic() + 60, 8, 60.0)
    _wait_for(service, 8)
    ray.get(service.seen.remote())
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    ray.get(alive.call.remote(gate, port, killed + LEASE_SECONDS, 8, 0.5), timeout=60)
    arrivals, _, peak = ray.get(service.seen.remote())
    back = sorted(arrivals)[7] - killed
    return build_measurement(
        "kill -9 of the holder of all 8 leases: all are used again after",
        back,
        goal=LEASE_SECONDS,
        lower_is_better=True,
        unit="s",
        note=f"the lease is {LEASE_SECONDS:g} s; most in flight {peak}",
    )


def _wait_for(service: Any, running: int) -> None:
    while ray.get(service.seen.remote())[1] < running:
        time.sleep(0.05)


def _rate_after_kill(
    limits: Limits, service: Any, port: int, callers: Sequence[Any], within: float
) -> Measurement:
    """Half of the processes are killed at work; the rate is looked at for ``within`` seconds."""
    ray.get(service.seen.remote())
    dead = callers[: len(callers) // 2]
    pids = ray.get([caller.pid.remote() for caller in dead])
    running, until = _start(limits, port, callers, _SECONDS_BEFORE_KILL + within + _RECOVERY)
    time.sleep(_SECONDS_BEFORE_KILL)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    ray.get(running[len(dead) :])
    arrivals = sorted(ray.get(service.seen.remote())[0])
    expected = 0.95 * (limits.requests or 0) / limits.seconds * _RECOVERY
    steps = [_GRID * n for n in range(int((until - killed - _RECOVERY) / _GRID))]
    full = [
        step
        for step in steps
        if _count_between(arrivals, killed + step, killed + step + _RECOVERY) >= expected
    ]
    note = (
        f"{len(dead)} of {len(callers)} processes; 95 % of {limits.requests:g} "
        f"in {limits.seconds:g} s over the {_RECOVERY:g} s after; most in any window "
        f"{_peak_count(arrivals, limits.seconds)}"
    )
    return build_measurement(
        "kill -9 of processes at work: full rate again after",
        min(full, default=float("inf")),
        goal=LEASE_SECONDS,
        lower_is_better=True,
        unit="s",
        note=note,
    )
