"""What ``medr doctor`` finds, and that what must be mended makes it exit 1."""

import socket
from pathlib import Path

import pytest

from medr_ray.cli import checks
from medr_ray.cli.checks import CheckResult, run_checks
from medr_ray.cli.main import main
from medr_ray.core.config import PipelineConfig
from medr_ray.core.settings import load_config


def config(*overrides: str) -> PipelineConfig:
    return load_config(None, overrides, {})


def check_result(subject: str, resolved: PipelineConfig | None = None) -> CheckResult:
    results = run_checks(resolved or config())
    return next(result for result in results if result.subject == subject)


def test_whatever_is_not_ok_says_how_to_mend_it() -> None:
    results = run_checks(config())
    assert {"python", "packages", "weights", "memory", "disk", "GPU", "port"} <= {
        result.subject for result in results
    }
    assert [result for result in results if result.status != "ok" and not result.remedy] == []
    assert check_result("python").status == "ok"


def test_missing_weights_fail_and_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDR_CACHE", str(tmp_path))
    missing = check_result("weights")
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
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert check_result("port", config(f"serving.port={port}")).status == "warn"


def test_a_dead_clusters_file_is_noticed_and_a_living_ones_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ray_current_cluster"
    monkeypatch.setattr(checks, "_CLUSTER_FILE", file)
    assert check_result("ray leftovers").detail == "none"
    with socket.socket() as living:
        living.bind(("127.0.0.1", 0))
        living.listen()
        address = f"127.0.0.1:{living.getsockname()[1]}"
        file.write_text(address)
        assert check_result("ray leftovers").status == "ok"
    stale = check_result("ray leftovers")
    assert (stale.status, stale.remedy.split(":")[0]) == ("warn", f"rm {file}")


def test_a_gpu_that_is_asked_for_and_absent_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check_result("GPU", config("engine.device=cuda")).status == "fail"


def test_the_token_advice_follows_what_ray_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert "get-auth-token --generate" in check_result("ray token").remedy
    (tmp_path / "token").write_text("0" * 64)
    assert "RAY_AUTH_MODE=token" in check_result("ray token").remedy
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert check_result("ray token").status == "ok"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert check_result("ray token").status == "warn"


def test_a_root_that_cannot_be_written_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks.os, "access", lambda path, mode: False)
    assert check_result("disk", config(f"run.root={tmp_path}")).status == "fail"
    assert check_result("disk", config("run.root=s3://bucket/runs")).status == "ok"


def test_roles_that_hardly_work_together_are_warned_of() -> None:
    assert check_result("roles").status == "ok"
    doubtful = check_result("roles", config("questions.back_reader=llm", "llm.model=m"))
    assert doubtful.status == "warn"
    assert "questions.back_reader: llm" in doubtful.remedy


def test_a_role_without_a_model_fails_with_both_settings() -> None:
    stages = check_result("stages", config("grpo.expert=llm"))
    assert stages.status == "fail"
    assert "grpo: grpo.expert: llm needs a model, and llm.model is empty" in stages.detail
