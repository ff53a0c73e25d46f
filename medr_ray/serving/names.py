"""Names by which Ray Serve knows the parts of the service."""

APPLICATION_NAME = "medr"
MODEL_DEPLOYMENT = "model"
GATEWAY_DEPLOYMENT = "gateway"
# Serve's variable for a function that its proxies call when they start, and ours.
PROXY_CALLBACK = {
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": (
        "medr_ray.serving.connection_guard.build_middlewares"
    )
}
