"""Ending Ray Serve: requests in progress are answered, then everything is shut down, in an order
that leaves no call unanswered and so no complaint in the log."""

import contextlib
import time

import httpx

from medr_ray.serving.http.middleware import DRAIN_PATH

# Between two looks at what is still running, in seconds.
_LOOK_SECONDS = 0.1
# For Serve's own shutdown, as ``serve.shutdown`` waits.
_SHUTDOWN_SECONDS = 60.0
_CALL_SECONDS = 5.0  # for an answer of the gateway


def drain_gateway(base_url: str, token: str, seconds: float) -> None:
    """Let the service refuse new requests, and give those in progress ``seconds`` to end.

    Over HTTP, because a handle of this process would leave a call to the controller unanswered.
    """
    url = base_url.removesuffix("/v1") + DRAIN_PATH
    patience = time.monotonic() + seconds
    # A gateway that does not answer has nothing to drain.
    with contextlib.suppress(httpx.HTTPError, KeyError), httpx.Client(trust_env=False) as client:
        while True:
            answer = client.post(url, headers={"X-Drain-Token": token}, timeout=_CALL_SECONDS)
            if answer.json()["running"] == 0 or time.monotonic() > patience:
                return
            time.sleep(_LOOK_SECONDS)


def shut_down_serve() -> None:
    """``serve.shutdown``, which leaves a call to the controller unanswered when that ends, and Ray
    reports it as failed. Here the controller is asked to end, and its end waited for."""
    import ray
    from ray import serve
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    with contextlib.suppress(ValueError):  # there is no controller
        controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
        ray.get(controller.graceful_shutdown.remote(wait=False))
        del controller
    patience = time.monotonic() + _SHUTDOWN_SECONDS
    while time.monotonic() < patience:
        try:
            ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
        except ValueError:
            break
        time.sleep(_LOOK_SECONDS)
    # Nothing is left of it but what this process remembers, or it did not end in time.
    serve.shutdown()
