"""Serving: the trained model behind OpenAI-compatible endpoints and the retriever beside it, on Ray
Serve.

``serve_application`` starts both and says where they answer; inside it the address is live,
afterwards it is gone. Loopback unless configured otherwise. A key is required when the environment
names one, and is never stored or logged.
"""

from medr_ray.serving.app import ServedApplication, serve_application, serve_forever

__all__ = ["ServedApplication", "serve_application", "serve_forever"]
