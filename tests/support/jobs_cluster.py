"""A real cluster of one node, as a user starts it: ``ray start --head`` with token authentication,
on free ports."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from medr_ray.serving.app import find_free_port

BIN = Path(sys.executable).parent
_PORTS = (
    "--port",
    "--dashboard-port",
    "--ray-client-server-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--metrics-export-port",
)
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Cluster:
    """The dashboard's URL and the environment of a client that has the token."""

    address: str
    environment: Mapping[str, str]

    def run(self, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """A command of the virtual environment, from the repository's root."""
        environment = {**self.environment, **changes}
        root = Path(__file__).resolve().parents[2]
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )


def free_ports(count: int) -> list[int]:
    """As many different ports, free at every address of this host."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(find_free_port(""))
    return sorted(ports)


def wait_until_started(head: subprocess.Popen[str]) -> None:
    """Read what the head prints up to its word that it is up; fail with what it printed instead."""
    assert head.stdout is not None
    printed = []
    for line in head.stdout:
        printed.append(line)
        if "Ray runtime started" in line:
            return
    pytest.fail("ray start ended: " + "".join(printed))


def stop(head: subprocess.Popen[str]) -> None:
    """End the head and all it started, each by its own process id: a polite stop takes Ray half a
    minute."""
    started = psutil.Process(head.pid).children(recursive=True)
    head.kill()
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    head.wait(_STOP_SECONDS)
    psutil.wait_procs(started, timeout=_STOP_SECONDS)


@contextmanager
def start_cluster() -> Iterator[Cluster]:
    """One node with four logical CPUs; a fresh token; everything it wrote is removed afterwards."""
    scratch = Path(tempfile.mkdtemp(prefix="medr-"))  # short: Ray puts sockets in it
    (scratch / "token").write_text(secrets.token_hex(32))
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MEDR_"))
    }
    environment = inherited | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(scratch / "token"),
    }
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    ports = free_ports(len(_PORTS))
    command = [
        str(BIN / "ray"),
        "start",
        "--head",
        "--block",
        "--num-cpus=4",
        "--object-store-memory=200000000",
        f"--temp-dir={scratch / 'ray'}",
        "--disable-usage-stats",
        "--node-ip-address=127.0.0.1",
    ]
    command += [f"{name}={port}" for name, port in zip(_PORTS, ports, strict=True)]
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
            yield Cluster(f"http://127.0.0.1:{ports[1]}", environment)
        finally:
            stop(head)
            shutil.rmtree(scratch, ignore_errors=True)
