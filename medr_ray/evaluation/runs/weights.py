"""The run's own weights as respondents of an evaluation, and serving them for the time."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from medr_ray.agent.tool_features import Rarity
from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.parts import digest
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.evaluation.runs.asking import RunRequests
from medr_ray.evaluation.runs.policies import EndpointPolicies, Endpoints
from medr_ray.evaluation.runs.records import Respondent
from medr_ray.serving.app import find_free_port, find_weights_directories, serve_application

EVALUATIONS_FOLDER = "evaluations"  # in the directory of a run
_WEIGHTS_FOLDER = "weights"
# What stands for the address of the server in answers: it is up for an evaluation, at any port.
OWN_WEIGHTS = "the weights of the run"
# Requests that may wait for the served model, for each episode in flight.
_QUEUED_PER_EPISODE = 2
# A full queue refuses with Retry-After; the client waits so long and asks again.
_RETRIES = 4
# Bytes of a file that is hashed where no manifest has its digest: settings and tokenizers, not
# weights, of which name and size are taken.
_HASHED_BYTES = 50_000_000
# The server is the run's own: its queue limits what it takes, not a rate.
_UNLIMITED_RATE = 1e9  # requests a minute


def locate_weights_run(run: RunDirectory) -> Directory:
    """Where the evaluation of a run's own weights is, beside the folders of the stages."""
    return run.child(EVALUATIONS_FOLDER).child(_WEIGHTS_FOLDER)


def choose_dtype(config: PipelineConfig) -> Literal["auto", "bfloat16", "float32"]:
    """The number format that the weights answer in.

    On a CPU float32, unless another is configured. In bfloat16 a token depends on which requests
    share its batch, and that on chance: of the demo's first replies one in eight was another alone
    than in a batch of 16, in float32 none (see ``evaluation.dtype``).
    """
    dtype = config.evaluation.dtype
    if dtype == "auto":
        is_on_cpu = config.engine.device == "cpu" or not config.serving.num_gpus
        dtype = "float32" if is_on_cpu else "engine"
    return config.engine.dtype if dtype == "engine" else dtype


def check_weights(config: PipelineConfig, run: RunDirectory) -> None:
    """Raises ConfigError when ``evaluation.weights`` names a model that the run does not have."""
    missing = set(config.evaluation.weights) - set(find_weights_directories(config, run))
    if missing:
        raise ConfigError(
            f"evaluation.weights names {', '.join(sorted(missing))}, but the run has no such "
            "model: run that stage, or take it out of evaluation.weights"
        )


def list_weights(config: PipelineConfig, run: RunDirectory) -> list[Respondent]:
    """The configured weights of the run, as agents with its tools and index."""
    config = configure_agent(config)
    sampling = {
        "temperature": config.evaluation.temperature,
        "max_tokens": config.agent.max_turn_tokens,
        "dtype": choose_dtype(config),
    }
    agent = describe_agent(config, run)
    return [
        Respondent(
            name,
            OWN_WEIGHTS,
            _identify_weights(config, run, name),
            sampling,
            agent,
            max_tasks=config.evaluation.max_base_questions if name == "base" else None,
        )
        for name in config.evaluation.weights
    ]


def describe_agent(config: PipelineConfig, run: RunDirectory) -> dict[str, Any]:
    """What decides the agent's answers beside the model: its settings, tools and index."""
    reads_with_model = config.tools.read.extract == "llm"
    return {
        **config.agent.identity(),
        "tools_settings": config.tools.identity(),
        "retrieval": config.retrieval.identity(),
        "encoder": config.models.encoder,
        "index": run.stage("index").fingerprint(),
        "quoter": config.llm.identity() if reads_with_model else None,
    }


def configure_agent(config: PipelineConfig) -> PipelineConfig:
    """The configuration with one worker that has all episodes in flight, because episodes wait for
    the model and not for the worker's CPU. Tools are called in the text, as the served models were
    trained to."""
    rollouts = config.rollouts.model_copy(
        update={"workers": 1, "max_workers": 1, "concurrency": config.evaluation.concurrency}
    )
    agent = config.agent.model_copy(update={"tool_calls": "text"})
    return config.model_copy(update={"rollouts": rollouts, "agent": agent})


@contextmanager
def serve_weights(config: PipelineConfig, run: RunDirectory) -> Iterator[Endpoints]:
    """Serve the run's models inside the block, with a key of this evaluation only: nobody else on
    the network can use the endpoint."""
    key = secrets.token_urlsafe(32)
    with serve_application(configure_serving(config), run, api_key=key) as served:
        yield describe_endpoints(config, served.base_url, key)


def describe_endpoints(config: PipelineConfig, base_url: str, key: str) -> Endpoints:
    """The served models, each by its name."""
    endpoints: dict[str, EndpointConfig] = {
        name: EndpointConfig(
            base_url=base_url,
            model=name,
            requests_per_minute=_UNLIMITED_RATE,
            concurrency=config.evaluation.concurrency,
            # A later answer is of no use: the rollout has passed its own deadline by then.
            timeout_seconds=config.agent.seconds,
            retries=_RETRIES,
            temperature=config.evaluation.temperature,
            # The address says nothing of the weights behind it.
            cache=False,
        )
        for name in config.evaluation.weights
    }
    return Endpoints(endpoints, key)


@contextmanager
def open_pool(
    config: PipelineConfig, index: Directory, endpoints: Endpoints, reports: Directory
) -> Iterator[RunRequests]:
    """What runs rollouts inside the block: a worker actor with the agent's tools that asks the
    endpoints. Ray must be up."""
    # The pool imports Ray, which planning does not need.
    from medr_ray.rollouts.pool import RolloutPool

    config = configure_agent(config)

    def make_policies(rarity: Rarity | None) -> EndpointPolicies:
        # In the worker: open connections cannot be sent to it.
        return EndpointPolicies(endpoints, config.agent.max_turn_tokens)

    with RolloutPool(config, index.uri, make_policies, reports=reports) as pool:
        yield pool.run


def configure_serving(config: PipelineConfig) -> PipelineConfig:
    """The configuration to serve the evaluation with: a free port, and room for every agent in the
    queue."""
    serving = config.serving
    queued = _QUEUED_PER_EPISODE * config.evaluation.concurrency
    host = _find_proxy_host()
    update = {
        "host": host,
        "port": find_free_port(host),
        "weights": config.evaluation.weights[0],
        # The server refuses what exceeds its limits, so they are raised to what the agents ask for.
        "max_queued": max(serving.max_queued, queued),
        "max_tokens": max(serving.max_tokens, config.agent.max_turn_tokens),
    }
    engine = config.engine.model_copy(update={"dtype": choose_dtype(config)})
    return config.model_copy(
        update={"serving": serving.model_copy(update=update), "engine": engine}
    )


def _find_proxy_host() -> str:
    """Loopback on one node; on a cluster the head's address, so that workers elsewhere reach it
    (with the key)."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1:
        return "127.0.0.1"
    head = next((node for node in nodes if "node:__internal_head__" in node["Resources"]), nodes[0])
    return str(head["NodeManagerAddress"])


def _identify_weights(config: PipelineConfig, run: RunDirectory, name: str) -> str:
    """A digest of a model's files. Weights that are trained anew have another, also where their
    settings are the same."""
    place = Directory(find_weights_directories(config, run)[name])
    if name == "base":
        return f"{config.models.policy} {_digest_files(place)}"
    manifest = run.stage(name).manifest()
    listed = manifest.get("files", {}) if manifest else {}
    files = {file: listed[file] for file in sorted(listed) if file.startswith("model/")}
    return digest(files) if files else _digest_files(place)


def _digest_files(place: Directory) -> str:
    sizes = place.list_sizes()
    files = {
        file: place.hash_file(file) if sizes[file] <= _HASHED_BYTES else sizes[file]
        for file in sorted(sizes)
    }
    return digest(files)
