"""The checks for GPUs run whole on a CPU, with a tiny model."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from medr_ray.training.smoke.checks import CHECKS

REPOSITORY = Path(__file__).resolve().parents[2]
_FIELDS = "check device world model_shape tokens seconds peak_gb planned_gb tokens_s mfu"
FIELDS = [*_FIELDS.split(), "mismatch_kl", "sync_s", "sync_bytes", "ok", "why"]


def run_smoke(*options: str) -> tuple[int, list[dict[str, object]]]:
    finished = subprocess.run(
        [sys.executable, "jobs/gpu_smoke.py", "--tiny", *options],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode in (0, 1), finished.stderr[-2000:]
    return finished.returncode, [json.loads(line) for line in finished.stdout.splitlines()]


def test_the_limits_of_all_checks_are_less_than_ten_minutes() -> None:
    assert sum(check.limit for check in CHECKS) < 600


@pytest.mark.slow
@pytest.mark.processes
def test_every_check_runs_on_a_cpu() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, rows = run_smoke()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert [row["check"] for row in rows] == [check.name for check in CHECKS]
    assert all(list(row) == FIELDS for row in rows)
    assert [(row["check"], row["why"]) for row in rows if row["ok"] is False] == []
    assert code == 0
    # Of the processor: on a machine that does much else the clock says little.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 60
    by_name = {row["check"]: row for row in rows}
    assert by_name["fsdp2"]["world"] == 2
    assert by_name["grpo_updates"]["sync_bytes"]
    assert by_name["grpo_updates"]["mismatch_kl"] is not None


@pytest.mark.slow
@pytest.mark.processes
def test_a_check_that_takes_longer_than_its_limit_fails_alone() -> None:
    script = (
        "import time, dataclasses, json\n"
        "from medr_ray.training.smoke import checks, runner\n"
        "hang = dataclasses.replace(checks.CHECKS[0], name='hang', limit=2,\n"
        "    load=lambda: lambda setup, rank, tokens: time.sleep(60))\n"
        "die = dataclasses.replace(hang, name='die', limit=20,\n"
        "    load=lambda: lambda setup, rank, tokens: __import__('os')._exit(3))\n"
        "runner.CHECKS = (hang, die, checks.CHECKS[0])\n"
        "for row in runner.run_checks(True):\n"
        "    print(json.dumps(row.to_json()), flush=True)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    rows = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [row["ok"] for row in rows] == [False, False, True], finished.stderr[-2000:]
    assert "within its limit of 2 s" in rows[0]["why"]
    assert "exit status 3" in rows[1]["why"]
