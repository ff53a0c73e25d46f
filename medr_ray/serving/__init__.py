"""Serves the trained model at OpenAI-compatible endpoints, and the retriever, on Ray Serve.

``serve_application`` starts both and yields their address, which is reachable until its block ends.
The address is on the loopback interface unless configured otherwise. A key is required when the
environment or the file of keys has one, and is never stored or logged.
"""

from medr_ray.serving.app import ServedApplication, serve_application
from medr_ray.serving.service import serve_forever

__all__ = ["ServedApplication", "serve_application", "serve_forever"]
