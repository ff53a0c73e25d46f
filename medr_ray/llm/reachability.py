"""Whether an endpoint can be asked at all: one small request before hours of work depend on it."""

import os
from collections.abc import Iterator, Mapping

from medr_ray.core.config import EndpointConfig

_SECONDS = 5.0  # for the request; a dead endpoint is to be named within ten


def find_endpoint_problems(endpoints: Mapping[str, EndpointConfig]) -> Iterator[str]:
    """What keeps endpoints from being used, each with its remedy. ``endpoints`` maps the key of the
    configuration to the endpoint there.

    The request lists the endpoint's models. Servers that have no such list answer with another
    status, which shows that they are there.
    """
    for name, endpoint in endpoints.items():
        problem = _find_problem(name, endpoint)
        if problem:
            yield problem


def _find_problem(name: str, endpoint: EndpointConfig) -> str:
    if not endpoint.model:
        return f"{name}.model is empty: name the model that {endpoint.base_url} is to run"
    # Imported here: a run without language models has no use for it.
    import httpx

    key = os.environ.get(endpoint.api_key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        return f"${endpoint.api_key_env} is no key: it holds other than printable ASCII characters"
    headers = {"Authorization": f"Bearer {key or 'none'}"}
    try:
        answer = httpx.get(
            f"{endpoint.base_url.rstrip('/')}/models", headers=headers, timeout=_SECONDS
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return (
            f"{name}.base_url: nothing answers at {endpoint.base_url} ({type(error).__name__}): "
            "start the endpoint, or set its address"
        )
    if answer.status_code in (401, 403):
        state = "refuses the key in" if key else "wants a key: set"
        return f"{name}: {endpoint.base_url} {state} ${endpoint.api_key_env}"
    if answer.status_code in (502, 503, 504):
        return (
            f"{name}: {endpoint.base_url} answers with status {answer.status_code}: the server "
            "behind it is not there or still starting"
        )
    return ""
