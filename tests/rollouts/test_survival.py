"""What can befall a night of rollouts: tools that fail, a driver that is killed, a node that is
lost, a cluster that has no nodes yet. Every rollout is there once, and no failure of ours is an
answer."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from support.jobs_cluster import BIN, free_ports, stop, wait_until_started
from support.rollout_driver import REQUESTS
from support.waiting_environment import ANSWER, Script, WaitingEnvironment, make_requests

from medr_ray.agent.episode_loop import FaultPlan
from medr_ray.core.lock import run_lock
from medr_ray.core.run import Directory
from medr_ray.core.settings import load_config
from medr_ray.rollouts.failure_kinds import TOOL
from medr_ray.rollouts.ledger import Ledger
from medr_ray.rollouts.pool import RolloutPool

pytestmark = pytest.mark.slow

_SUPPORT = Path(__file__).parents[1] / "support"
_ENVIRONMENT = os.environ | {"RAY_AUTH_MODE": "disabled"}


@pytest.mark.usefixtures("ray_local")
@pytest.mark.parametrize(
    "rate",
    [
        0.0,
        pytest.param(0.1, marks=pytest.mark.soak),
        0.3,
        # So many fail that ten in a row would be given up now and then, above it.
        pytest.param(0.5, marks=pytest.mark.soak),
    ],
)
def test_failing_tools_lose_no_rollout_and_make_no_answer(rate: float, tmp_path: Path) -> None:
    """Calls fail at this rate and the agent sees it; besides, their service breaks at this rate."""
    config = load_config(
        None,
        [
            "rollouts.workers=2",
            "rollouts.concurrency=20",
            "rollouts.retries=2",
            "agent.max_tool_calls=8",
        ],
        environment={},
    )
    environment = WaitingEnvironment({"plain": Script(turns=1, calls=2, wait=0.02, failing=rate)})
    ledger = Ledger(Directory(str(tmp_path)), 8)
    with RolloutPool(config, faults=FaultPlan(rate), environment=environment) as pool:
        outcomes = list(ledger.record(pool.run(make_requests(60))))
    finished, failed = ledger.done(), ledger.failures()
    assert sorted(
        [trajectory.rollout for trajectory in finished] + [failure.rollout for failure in failed]
    ) == list(range(60))
    assert {trajectory.answer for trajectory in finished} == {ANSWER}
    assert {(failure.kind, failure.attempts) for failure in failed} <= {(TOOL, 3)}
    assert sorted(outcome.request.rollout for outcome in outcomes) == list(range(60))
    assert bool(pool.figures()["failed_attempts"].get(TOOL)) is (rate > 0)
    events = [event for trajectory in finished for event in trajectory.tool_events]
    assert any(event.simulated_failure for event in events) is (rate > 0)


@contextmanager
def _start_script(log: Path, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a script of ``support`` in a separate process that ends with the block."""
    with open(log, "wb") as printed:
        process = subprocess.Popen(
            [sys.executable, str(_SUPPORT / script), *arguments],
            env=_ENVIRONMENT,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _finish_script(log: Path, script: str, *arguments: str) -> str:
    """What the script prints, which must succeed."""
    with _start_script(log, script, *arguments) as process:
        process.wait()
        printed = log.read_text()
        assert process.returncode == 0, printed[-3000:]
    return printed


@pytest.mark.processes
@pytest.mark.parametrize("consumer", ["rollouts", "training"])
def test_a_full_disk_ends_the_process_and_frees_the_run(consumer: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with _start_script(log, "full_disk.py", str(tmp_path), consumer) as process:
        # Starting Ray takes longest; what is measured is only the end.
        process.wait(timeout=240)
        ended = time.time()
        printed = log.read_text()
    assert process.returncode == 1, printed[-3000:]
    assert "No space left on device" in printed
    full = float(re.findall(r"full at ([\d.]+)", printed)[0])
    # Ten seconds are meant; a busy machine gets thirty.
    assert ended - full < 30
    with run_lock(Directory(str(tmp_path / "full"))):
        pass


def _read_parts(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "parts").glob("part-*.parquet")}


def _every_rollout_once(root: Path) -> None:
    rows = Directory(str(root)).read_table("parts", columns=["rollout"]).to_pydict()["rollout"]
    assert Counter(rows) == Counter(range(len(REQUESTS)))
    assert {trajectory.answer for trajectory in Ledger(Directory(str(root)), 8).done()} == {ANSWER}


@pytest.mark.processes
def test_a_killed_driver_is_run_again_and_makes_only_what_was_missing(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with _start_script(log, "rollout_driver.py", str(tmp_path)) as process:
        while len(_read_parts(tmp_path)) < 5:
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    before = _read_parts(tmp_path)
    left = len(Ledger(Directory(str(tmp_path)), 8).open_requests(REQUESTS))
    assert left == len(REQUESTS) - 8 * len(before)
    printed = _finish_script(log, "rollout_driver.py", str(tmp_path))
    assert f"{left} open, {left} came" in printed
    assert before.items() <= _read_parts(tmp_path).items()
    _every_rollout_once(tmp_path)


@pytest.mark.processes
def test_a_lost_node_costs_no_rollout(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    printed = _finish_script(log, "rollout_driver.py", str(tmp_path), "nodes")
    assert "lost a node" in printed
    assert "worker_died" in printed
    assert f"{len(REQUESTS)} open, {len(REQUESTS)} came" in printed
    _every_rollout_once(tmp_path)


@pytest.fixture
def growing_cluster() -> Iterator[str]:
    """The address of a head without CPUs, whose autoscaler adds and removes nodes of one CPU on
    this machine."""
    ports = free_ports(6)
    address = f"{_own_address()}:{ports[0]}"
    folder = Path(tempfile.mkdtemp(prefix="medr-"))  # short: Ray puts sockets in it
    (folder / "cluster.yaml").write_text(yaml.safe_dump(_cluster_of(address)))
    names = (
        "--port",
        "--dashboard-port",
        "--ray-client-server-port",
        "--dashboard-agent-listen-port",
        "--dashboard-agent-grpc-port",
        "--metrics-export-port",
    )
    command = [
        str(BIN / "ray"),
        "start",
        "--head",
        "--block",
        "--num-cpus=0",
        "--object-store-memory=100000000",
        "--disable-usage-stats",
        f"--autoscaling-config={folder / 'cluster.yaml'}",
        f"--temp-dir={folder / 'ray'}",
    ]
    command += [f"{name}={port}" for name, port in zip(names, ports, strict=True)]
    environment = _ENVIRONMENT | {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as head:
        try:
            wait_until_started(head)
            yield address
        finally:
            stop(head)
            shutil.rmtree(folder, ignore_errors=True)


def _own_address() -> str:
    from ray._private.services import get_node_ip_address

    return str(get_node_ip_address())


def _cluster_of(address: str) -> dict[str, object]:
    """The fake provider: a node is a raylet beside the head."""
    node = {"node_config": {}, "min_workers": 0}
    return {
        "cluster_name": "rollouts",
        "max_workers": 3,
        "upscaling_speed": 10,
        "idle_timeout_minutes": 0.05,
        "provider": {
            "type": "external",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "gcs_address": address,
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {
                **node,
                "resources": {"CPU": 1, "object_store_memory": 100_000_000},
                "max_workers": 3,
            },
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
        "docker": {},
    }


@pytest.mark.processes
def test_a_cluster_grows_with_the_rollouts_and_shrinks_after_them(
    growing_cluster: str, tmp_path: Path
) -> None:
    printed = _finish_script(tmp_path / "log.txt", "rollout_demand.py", growing_cluster)
    assert "0 nodes at first" in printed
    assert "3 nodes under demand" in printed
    assert "0 nodes when idle" in printed
    [line] = [line for line in printed.splitlines() if "under demand" in line]
    arrived, finished = (int(word) for word in line.split() if word.isdigit() and word != "3")
    assert arrived == finished > 0
