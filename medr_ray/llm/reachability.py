"""Whether an endpoint can be asked at all: one small request before hours of work depend on it."""

import os
import threading
import time
from collections.abc import Iterator, Mapping

from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.config.roles import list_roles
from medr_ray.core.errors import ConfigError
from medr_ray.core.variables import read_key

_SECONDS = 5.0  # for each step of the request
# For all endpoints together: a dead one is to be named within ten. A name server that does not
# answer and a reply that comes byte by byte take longer than the steps' own limit.
_ALL_SECONDS = 8.0


def find_role_problems(config: PipelineConfig, stage: str) -> Iterator[str]:
    """What keeps the models that work for a stage from being used, each with its remedy.

    A role whose model has no name is named with both settings; the other endpoints are asked, each
    once, however many roles it plays.
    """
    endpoints: dict[str, EndpointConfig] = {}
    for role in list_roles(config):
        if role.endpoint is None or stage not in role.stages:
            continue
        if not role.endpoint.model:
            yield (
                f"{role.by_model} needs a model, and {role.endpoint_key}.model is empty: name the "
                f"model that {role.endpoint.base_url} is to run, or set {role.without_model}"
            )
            continue
        endpoints[role.endpoint_key] = role.endpoint
    yield from find_endpoint_problems(endpoints)


def find_endpoint_problems(endpoints: Mapping[str, EndpointConfig]) -> Iterator[str]:
    """What keeps endpoints from being used, each with its remedy. ``endpoints`` maps the key of the
    configuration to the endpoint there.

    The request lists the endpoint's models. Servers that have no such list answer with another
    status, which shows that they are there. All are asked at once.
    """
    problems: dict[str, str] = {}

    def ask(name: str, endpoint: EndpointConfig) -> None:
        problems[name] = _find_problem(name, endpoint)

    # Daemons: a look-up of a name cannot be cancelled, and is not to keep the process.
    threads = [threading.Thread(target=ask, args=entry, daemon=True) for entry in endpoints.items()]
    for thread in threads:
        thread.start()
    give_up_at = time.monotonic() + _ALL_SECONDS
    for thread in threads:
        thread.join(max(0.0, give_up_at - time.monotonic()))
    for name, endpoint in endpoints.items():
        silent = _describe_silence(name, endpoint, f"within {_ALL_SECONDS:g} s")
        problem = problems.get(name, silent)
        if problem:
            yield problem


def _find_problem(name: str, endpoint: EndpointConfig) -> str:
    if not endpoint.model:
        return f"{name}.model is empty: name the model that {endpoint.base_url} is to run"
    # Imported here: a run without language models has no use for it.
    import httpx

    unset = [name for name in endpoint.extra_headers.values() if name not in os.environ]
    if unset:
        return f"{name}.extra_headers names variables that are not set: {', '.join(unset)}"
    try:
        key = read_key(endpoint.api_key_env)
        headers = {
            header: read_key(variable) for header, variable in endpoint.extra_headers.items()
        }
    except ConfigError as error:
        return str(error)
    headers = {"Authorization": f"Bearer {key or 'none'}", **headers}
    try:
        answer = httpx.get(
            f"{endpoint.base_url.rstrip('/')}/models", headers=headers, timeout=_SECONDS
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _describe_silence(name, endpoint, f"({type(error).__name__})")
    if answer.status_code in (401, 403):
        state = "refuses the key in" if key else "wants a key: set"
        return f"{name}: {endpoint.base_url} {state} ${endpoint.api_key_env}"
    if answer.status_code in (502, 503, 504):
        return (
            f"{name}: {endpoint.base_url} answers with status {answer.status_code}: the server "
            "behind it is not there or still starting"
        )
    return ""


def _describe_silence(name: str, endpoint: EndpointConfig, how: str) -> str:
    return (
        f"{name}.base_url: nothing answers at {endpoint.base_url} {how}: start the endpoint, or "
        "set its address"
    )
