"""``medr serve``: the trained model and the retriever over HTTP."""

from typing import Annotated

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve_config


def serve(
    config: ConfigFile,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="In place of serving.port.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Serve /v1/chat/completions and /v1/search until Ctrl-C."""
    from medr_ray.serving import serve_forever

    settings = list(overrides or [])
    if port is not None:
        settings.append(f"serving.port={port}")
    serve_forever(resolve_config(config, settings))
