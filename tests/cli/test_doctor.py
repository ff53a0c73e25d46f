"""What ``medr doctor`` finds, and that what must be mended makes it exit 1."""

import socket
from pathlib import Path

import pytest

from medr_ray.cli import checks
from medr_ray.cli.checks import Finding, examine
from medr_ray.cli.main import main
from medr_ray.core.config import PipelineConfig
from medr_ray.core.settings import load_config


def config(*overrides: str) -> PipelineConfig:
    return load_config(None, overrides, {})


def finding(subject: str, resolved: PipelineConfig | None = None) -> Finding:
    return next(one for one in examine(resolved or config()) if one.subject == subject)


def test_whatever_is_not_ok_says_how_to_mend_it() -> None:
    findings = examine(config())
    assert {"python", "packages", "weights", "memory", "disk", "GPU", "port"} <= {
        one.subject for one in findings
    }
    assert [one for one in findings if one.status != "ok" and not one.remedy] == []
    assert finding("python").status == "ok"


def test_missing_weights_fail_and_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDR_CACHE", str(tmp_path))
    missing = finding("weights")
    assert missing.status == "fail"
    assert "medr models fetch" in missing.remedy


def test_a_failure_is_exit_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDR_CACHE", str(tmp_path))
    with pytest.raises(SystemExit) as exited:
        main(["doctor"])
    assert exited.value.code == 1
    assert "-> medr models fetch" in capsys.readouterr().out


def test_a_taken_port_is_noticed() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert finding("port", config(f"serving.port={port}")).status == "warn"


def test_a_dead_clusters_file_is_noticed_and_a_living_ones_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ray_current_cluster"
    monkeypatch.setattr(checks, "_CLUSTER_FILE", file)
    assert finding("ray leftovers").detail == "none"
    with socket.socket() as living:
        living.bind(("127.0.0.1", 0))
        living.listen()
        address = f"127.0.0.1:{living.getsockname()[1]}"
        file.write_text(address)
        assert finding("ray leftovers").status == "ok"
    stale = finding("ray leftovers")
    assert (stale.status, stale.remedy.split(":")[0]) == ("warn", f"rm {file}")


def test_a_gpu_that_is_asked_for_and_absent_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert finding("GPU", config("engine.device=cuda")).status == "fail"


def test_the_token_advice_follows_what_ray_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert "get-auth-token --generate" in finding("ray token").remedy
    (tmp_path / "token").write_text("0" * 64)
    assert "RAY_AUTH_MODE=token" in finding("ray token").remedy
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert finding("ray token").status == "ok"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert finding("ray token").status == "warn"


def test_a_root_that_cannot_be_written_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks.os, "access", lambda path, mode: False)
    assert finding("disk", config(f"run.root={tmp_path}")).status == "fail"
    assert finding("disk", config("run.root=s3://bucket/runs")).status == "ok"
