"""A private session is its owner's alone: its sockets, its folder and its token."""

import ipaddress
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from medr_ray.core.config import RayConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.session import ray_session

SCRIPT = Path(__file__).parents[1] / "support" / "private_session.py"


@pytest.mark.slow
@pytest.mark.processes
def test_a_private_session_listens_on_loopback_and_shows_nothing_to_others() -> None:
    # A short path: those of sockets have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="m") as scratch:
        token = Path(scratch) / "token"
        token.write_text("a" * 64)
        token.chmod(0o644)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RAY_")
        }
        environment |= {
            "RAY_TMPDIR": scratch,
            "RAY_AUTH_TOKEN_PATH": str(token),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, str(SCRIPT)],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            timeout=300,
        )
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["greeting"] == "hello"
    assert len(report["listeners"]) > 5
    beyond = []
    for listener in report["listeners"]:
        address = ipaddress.ip_address(listener.rsplit(" ", 1)[1])
        address = getattr(address, "ipv4_mapped", None) or address
        if not address.is_loopback:
            beyond.append(listener)
    assert beyond == []
    assert report["folder"].startswith(scratch)
    assert (report["rights"], report["token"]) == ("0o700", "0o600")
    assert report["switch_after"] is None


def test_a_session_folder_that_somebody_else_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"medr-{os.getuid()}").symlink_to(elsewhere)
    with (
        pytest.raises(ConfigError, match="belongs to somebody else: set RAY_TMPDIR"),
        ray_session(RayConfig()),
    ):
        pass
