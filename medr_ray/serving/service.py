"""``medr serve`` as a service: the process that serves a run, its state file, and what others ask
of it through the run directory.

``service.json`` in the run's folder ``serving`` says who serves the run and where; it holds no
secret. ``order.json`` beside it asks for other weights. Both are for the run's owner alone, and no
port is open for it. The process holds a lock as long as it serves: a state without it is a dead
one's, and its process number may be another's by now.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import httpx
from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.private_files import make_private_folder, open_private
from medr_ray.core.run import open_run
from medr_ray.serving.app import ServedApplication, find_model_directory, serve_application
from medr_ray.serving.keys import ApiKeyVerifier, KeySource, require_key_beyond_loopback

_FOLDER = "serving"
_STATE_FILE = "service.json"
_ORDER_FILE = "order.json"
_LOG_FILE = "service.log"
_LOCK_FILE = "service.lock"
# Between two looks at orders and replicas, in seconds.
_LOOK_SECONDS = 0.5
# For Ray, Serve and a model of some gigabytes to start, and for new weights to be loaded.
_START_SECONDS = 600.0
_SWAP_SECONDS = 600.0
# For Serve and Ray to end, beside the time that requests in progress are given.
_END_SECONDS = 60.0
_PROBE_SECONDS = 2.0  # for an answer of the service that is asked whether it is ready
_LOG_LINES = 15  # of a service that did not start


@dataclass(frozen=True)
class ServiceState:
    """What the state file says: the process, the address, the names of the models, the weights that
    answer, the model's replicas, and the last order with its outcome."""

    pid: int
    base_url: str
    models: tuple[str, ...]
    weights: str
    replicas: int
    order: str = ""
    order_error: str = ""


class ServiceFiles:
    """The files of a run's service."""

    def __init__(self, config: PipelineConfig) -> None:
        self.folder = open_run(config).child(_FOLDER).local
        self.log = self.folder / _LOG_FILE

    def read_state(self) -> ServiceState | None:
        """The state of the service that runs; null when none does."""
        content = _read_json(self.folder / _STATE_FILE)
        if content is None or not self.is_held():
            return None
        return ServiceState(**{**content, "models": tuple(content["models"])})

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Be the process that serves the run, in the block. Raises MedrError where another is."""
        make_private_folder(self.folder)
        with open(self.folder / _LOCK_FILE, "w", opener=open_private) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise MedrError(
                    f"{self.folder.parent} is served already: `medr serve status` says by whom, "
                    "`medr serve down` ends it"
                ) from None
            self.take_order()  # one that nobody was there to follow
            try:
                yield
            finally:
                self.remove_state()

    def is_held(self) -> bool:
        """Whether a process serves the run, or starts or ends."""
        try:
            with open(self.folder / _LOCK_FILE, encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def write_state(self, state: ServiceState) -> None:
        """Replace the state file."""
        _write_json(self.folder / _STATE_FILE, asdict(state))

    def remove_state(self) -> None:
        """Take the state file away: nobody serves the run."""
        (self.folder / _STATE_FILE).unlink(missing_ok=True)

    def write_order(self, weights: str) -> str:
        """Ask the service for other weights; the order's id."""
        order = uuid.uuid4().hex
        _write_json(self.folder / _ORDER_FILE, {"order": order, "weights": weights})
        return order

    def take_order(self) -> dict[str, str] | None:
        """The order that was given, once."""
        path = self.folder / _ORDER_FILE
        content = _read_json(path)
        path.unlink(missing_ok=True)
        return content


def _read_json(path: Path) -> dict | None:  # type: ignore[type-arg]
    """The object in a file; null when there is none, or no whole one."""
    try:
        content = parse_json(path.read_bytes(), str(path))
    except (OSError, InvalidJson):
        return None
    return content if isinstance(content, dict) else None


def _write_json(path: Path, content: object) -> None:
    make_private_folder(path.parent)
    temporary = path.with_suffix(".partial")
    with open(temporary, "w", encoding="utf-8", opener=open_private) as file:
        json.dump(content, file, indent=2)
    os.replace(temporary, path)


# --- the serving process --------------------------------------------------------------


def serve_forever(config: PipelineConfig, console: Console | None = None) -> None:
    """Serve the configured run until SIGINT or SIGTERM, on Ray as configured."""
    from medr_ray.core.session import ray_session

    console = console or Console()
    # Before Ray takes its time to start.
    verifier = _read_keys(config)
    files = ServiceFiles(config)
    stop_requested = threading.Event()
    _stop_on_signals(stop_requested)
    with (
        files.hold(),
        ray_session(config.ray),
        serve_application(config, open_run(config)) as served,
    ):
        # Ray took SIGTERM for itself when it started, to end the process with a trace.
        _stop_on_signals(stop_requested)
        access = "with a key"
        if not verifier.asks_for_key:
            access = f"without a key ({config.serving.api_key_env} is unset)"
        models = ", ".join(served.models)
        console.print(
            f"serving {models} at {served.base_url} {access}; end with Ctrl-C", highlight=False
        )
        try:
            # Serve works in processes of its own. This one waits, follows orders, and shuts it
            # down at the end.
            _follow_orders(config, served, files, stop_requested)
        finally:
            console.print("ending: requests in progress are answered first")


def _stop_on_signals(stop_requested: threading.Event) -> None:
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: stop_requested.set())


def _read_keys(config: PipelineConfig) -> ApiKeyVerifier:
    """The keys of the service. Raises ConfigError where it needs one and has none."""
    verifier = KeySource.from_config(config.serving).read()
    require_key_beyond_loopback(config.serving.host, verifier, config.serving.api_key_env)
    return verifier


def _follow_orders(
    config: PipelineConfig,
    served: ServedApplication,
    files: ServiceFiles,
    stop_requested: threading.Event,
) -> None:
    """Keep the state file up to date and follow orders until a stop is requested."""
    state = ServiceState(
        os.getpid(),
        served.base_url,
        served.models,
        config.serving.weights,
        served.count_replicas(),
    )
    files.write_state(state)
    while not stop_requested.wait(_LOOK_SECONDS):
        earlier = state
        order = files.take_order()
        if order is not None:
            state = _follow_order(served, state, order)
        state = replace(state, replicas=served.count_replicas())
        if state != earlier:
            files.write_state(state)


def _follow_order(
    served: ServedApplication, state: ServiceState, order: dict[str, str]
) -> ServiceState:
    """Swap the weights; the state with the outcome."""
    weights = order["weights"]
    try:
        served.swap_weights(weights)
    except MedrError as error:
        return replace(state, order=order["order"], order_error=str(error))
    return replace(state, weights=weights, order=order["order"], order_error="")


# --- what others ask of it ------------------------------------------------------------


def start_service(config: PipelineConfig, arguments: Sequence[str]) -> ServiceState:
    """Start ``medr serve`` with ``arguments`` in the background; its state once it is ready.

    Raises MedrError with the end of its log when it does not become ready.
    """
    _read_keys(config)
    files = ServiceFiles(config)
    earlier = files.read_state()
    if earlier is not None:
        raise MedrError(f"process {earlier.pid} serves this run already, at {earlier.base_url}")
    make_private_folder(files.folder)
    with open(files.log, "wb", opener=open_private) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "medr_ray.cli.main", "serve", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A signal to the terminal's group, such as Ctrl-C, is not meant for it.
            start_new_session=True,
        )
    patience = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < patience:
        state = files.read_state()
        if state is not None and state.pid == process.pid and is_ready(state):
            return state
        time.sleep(_LOOK_SECONDS)
    reason = "it ended" if process.poll() is not None else f"not ready in {_START_SECONDS:g} s"
    if process.poll() is None:
        process.terminate()
    lines = files.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    raise MedrError("\n".join([f"the service did not start ({reason}), see {files.log}", *lines]))


def is_ready(state: ServiceState) -> bool:
    """Whether the service says that it is ready."""
    url = state.base_url.removesuffix("/v1") + "/readyz"
    try:
        # Not through a proxy of the environment: the service is on this machine.
        return httpx.get(url, timeout=_PROBE_SECONDS, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def end_service(config: PipelineConfig) -> ServiceState | None:
    """End the service that serves the run, after its requests in progress; null when none does.
    Raises MedrError when it does not end."""
    files = ServiceFiles(config)
    state = files.read_state()
    if state is None:
        return None
    os.kill(state.pid, signal.SIGTERM)
    seconds = config.serving.drain_seconds + _END_SECONDS
    patience = time.monotonic() + seconds
    while time.monotonic() < patience:
        if not files.is_held():
            return state
        time.sleep(_LOOK_SECONDS)
    raise MedrError(f"process {state.pid} has not ended in {seconds:g} s; see {files.log}")


def order_weights(config: PipelineConfig, weights: str) -> ServiceState:
    """Let the service answer with other weights: a model of the run by name, or a directory. Raises
    MedrError when it does not."""
    files = ServiceFiles(config)
    if files.read_state() is None:
        raise MedrError("nobody serves this run: `medr serve up` starts it")
    run = open_run(config)
    directory = find_model_directory(config, run, weights)
    # A path means the same in another process where it is absolute.
    order = files.write_order(weights if Path(directory) != Path(weights).absolute() else directory)
    patience = time.monotonic() + _SWAP_SECONDS
    while time.monotonic() < patience:
        state = files.read_state()
        if state is None:
            raise MedrError(f"the service ended; see {files.log}")
        if state.order == order:
            if state.order_error:
                raise MedrError(f"the weights were not changed: {state.order_error}")
            return state
        time.sleep(_LOOK_SECONDS)
    raise MedrError(f"the weights were not changed in {_SWAP_SECONDS:g} s; see {files.log}")
