"""Names by which Ray Serve knows the parts of the service."""

APPLICATION_NAME = "medr"
MODEL_DEPLOYMENT = "model"
GATEWAY_DEPLOYMENT = "gateway"
# What Serve's controller, its proxies and replicas have in their environment.
SERVE_ENVIRONMENT = {
    # A function that Serve's proxies call when they start.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": (
        "medr_ray.serving.connection_guard.build_middlewares"
    ),
    # Between two counts of the requests, in seconds, by which replicas are added: Serve's 10 would
    # only add to serving.upscale_seconds.
    "RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    "RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S": "1",
    # Seconds that a proxy may take to start: as many as ``serve.start`` waits for it. Serve's 5 are
    # too few for the imports of a process on a busy machine; it would kill the proxy.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}
