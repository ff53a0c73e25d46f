"""``medr serve up``, ``status``, ``weights`` and ``down`` as processes, with clients that notice
nothing of it."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support.served_load import QUESTION
from support.tiny_model import build_tiny_model

from medr_ray.core.settings import load_config
from medr_ray.serving.app import find_free_port
from medr_ray.serving.service import ServiceFiles

pytestmark = [pytest.mark.slow, pytest.mark.processes]

KEY = "a-key-for-this-test"
_PATIENCE = 300  # seconds for a command or a reply on a busy machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two sets of weights, and its configuration."""
    root = tmp_path_factory.mktemp("commands")
    for seed, name in enumerate(("base", "run/sft/model", "run/grpo/model")):
        build_tiny_model(root / name, seed=seed)
    values = {
        "run": {"root": str(root), "name": "run"},
        "models": {"policy": str(root / "base")},
        "engine": {"dtype": "float32", "threads": 1},
        "serving": {"port": find_free_port(), "num_cpus": 0.5, "max_batch": 4},
        "ray": {"num_cpus": 2},
    }
    (root / "config.yaml").write_text(yaml.safe_dump(values))
    return root


def run_medr(folder: Path, *arguments: str, status: int = 0) -> str:
    """What ``medr serve ...`` prints."""
    config = str(folder / "config.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "medr_ray.cli.main", "serve", *arguments, "-c", config],
        env={**os.environ, "MEDR_SERVE_API_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def base_url(folder: Path) -> Iterator[str]:
    run_medr(folder, "up")
    yield json.loads(run_medr(folder, "status", "--json"))["base_url"]
    run_medr(folder, "down")


def ask(base_url: str, **body: Any) -> str:
    """The greedy answer, which tells one set of weights from another."""
    response = httpx.post(
        f"{base_url}/chat/completions",
        json={"model": "medr-model", "messages": QUESTION, "temperature": 0, **body},
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=_PATIENCE,
    )
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def test_status_says_who_serves_and_holds_no_secret(folder: Path, base_url: str) -> None:
    status = json.loads(run_medr(folder, "status", "--json"))
    assert status["running"]
    assert status["ready"]
    assert status["replicas"] == 1
    assert status["models"] == ["medr-model", "base", "sft", "grpo"]
    files = ServiceFiles(load_config(folder / "config.yaml"))
    for path in files.folder.iterdir():
        assert KEY not in path.read_text()
        assert path.stat().st_mode & 0o077 == 0
    os.kill(status["pid"], 0)
    assert "is served already" in run_medr(folder, status=1)
    assert f"process {status['pid']} serves" in run_medr(folder, "up", status=1)


def test_weights_are_swapped_under_load_and_no_answer_mixes_two(
    folder: Path, base_url: str
) -> None:
    body = {"max_tokens": 60}
    answers = {name: ask(base_url, model=name, **body) for name in ("grpo", "sft")}
    assert answers["grpo"] != answers["sft"]
    assert ask(base_url, **body) == answers["grpo"]
    is_enough = threading.Event()
    seen: list[str] = []

    def keep_asking() -> None:
        while not is_enough.is_set():
            seen.append(ask(base_url, **body))

    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    printed = run_medr(folder, "weights", "sft")
    # Given by its path.
    run_medr(folder, "weights", str(folder / "run" / "grpo" / "model"))
    is_enough.set()
    for thread in threads:
        thread.join(_PATIENCE)
    assert "medr-model now answers with sft" in printed
    assert ask(base_url, **body) == answers["grpo"]
    counts = Counter(seen)
    assert set(counts) == set(answers.values())
    assert min(counts.values()) > 1
    assert "is no model" in run_medr(folder, "weights", "gone", status=1)
    assert ask(base_url, **body) == answers["grpo"]


def test_down_answers_what_is_in_progress_and_leaves_nothing(folder: Path, base_url: str) -> None:
    root = base_url.removesuffix("/v1")
    printed: list[str] = []
    body = {"model": "medr-model", "messages": QUESTION, "stream": True, "max_tokens": 400}
    with httpx.stream(
        "POST",
        f"{base_url}/chat/completions",
        json={**body, "temperature": 0},
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=_PATIENCE,
    ) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
        ending = threading.Thread(target=lambda: printed.append(run_medr(folder, "down")))
        ending.start()
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert not any('"error"' in line for line in rest)
    ending.join(_PATIENCE)
    assert "has ended" in printed[0]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{root}/livez", timeout=_PATIENCE)
    assert "nobody serves this run" in run_medr(folder, "status", status=1)
    assert "nobody serves this run" in run_medr(folder, "down")
    files = ServiceFiles(load_config(folder / "config.yaml"))
    log = files.log.read_text()
    assert "ending: requests in progress are answered first" in log
    # What Ray says where a call to Serve's controller is left unanswered.
    assert "ray.kill" not in log
    assert "core_worker" not in log
    assert "SIGTERM" not in log
    assert [path.name for path in files.folder.glob("*.json")] == []
