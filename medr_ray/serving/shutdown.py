"""Ending Ray Serve: requests in progress are answered, then everything is shut down, in an order
that leaves no call unanswered and so no complaint in the log."""

import contextlib
import time

from medr_ray.serving.names import APPLICATION_NAME

# Between two looks at what is still running, in seconds.
_LOOK_SECONDS = 0.1
# For Serve's own shutdown, as ``serve.shutdown`` waits.
_SHUTDOWN_SECONDS = 60.0
_CALL_SECONDS = 5.0  # for an answer of the gateway


def end_serve(drain_seconds: float) -> None:
    """Refuse new requests, give those in progress ``drain_seconds``, and shut Serve down."""
    with contextlib.suppress(Exception):  # a gateway that is not there has nothing to drain
        _drain(drain_seconds)
    _shut_down_serve()


def _drain(seconds: float) -> None:
    from ray import serve

    gateway = serve.get_app_handle(APPLICATION_NAME)
    gateway.drain.remote().result(timeout_s=_CALL_SECONDS)
    patience = time.monotonic() + seconds
    while time.monotonic() < patience:
        if gateway.count_running.remote().result(timeout_s=_CALL_SECONDS) == 0:
            return
        time.sleep(_LOOK_SECONDS)


def _shut_down_serve() -> None:
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
