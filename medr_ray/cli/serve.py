"""``medr serve``: the trained model, the agent and the retriever over HTTP, in the foreground or,
with ``up``, ``status`` and ``down``, in the background; its keys and its weights."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from medr_ray.cli.options import ConfigFile, OptionalConfigFile, Overrides, resolve_config

app = typer.Typer(help="Serve the model, the agent and the retriever over HTTP.")
keys_app = typer.Typer(help="The keys of the service.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

Port = Annotated[
    int | None, typer.Option("--port", min=1, max=65535, help="In place of serving.port.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
KeysFile = Annotated[
    Path | None, typer.Option("--file", help="File of keys, in place of serving.keys_file.")
]
_PerMinute = typer.Option(min=1)


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    config: OptionalConfigFile = None,
    port: Port = None,
    overrides: Overrides = None,
) -> None:
    """Serve /v1/chat/completions, /v1/search and more until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise typer.BadParameter("missing: give a YAML file", param_hint="'-c' / '--config'")
    from medr_ray.serving import serve_forever

    serve_forever(resolve_config(config, _list_settings(port, overrides)))


def _list_settings(port: int | None, overrides: list[str] | None) -> list[str]:
    settings = list(overrides or [])
    if port is not None:
        settings.append(f"serving.port={port}")
    return settings


@app.command("up")
def start(config: ConfigFile, port: Port = None, overrides: Overrides = None) -> None:
    """Serve in the background; return when it is ready."""
    from medr_ray.serving.service import start_service

    settings = _list_settings(port, overrides)
    arguments = ["-c", str(config.absolute())]
    for setting in settings:
        arguments += ["--set", setting]
    state = start_service(resolve_config(config, settings), arguments)
    typer.echo(f"serving {', '.join(state.models)} at {state.base_url}, process {state.pid}")


@app.command("status")
def show_status(config: ConfigFile, overrides: Overrides = None, json: JsonOption = False) -> None:
    """Print who serves the run: address, models, replicas, ready or not. Exit 1 when nobody
    does."""
    from medr_ray.cli.showing import print_json
    from medr_ray.serving.service import ServiceFiles, is_ready

    state = ServiceFiles(resolve_config(config, overrides)).read_state()
    if state is None:
        if json:
            print_json({"running": False})
        else:
            typer.echo("nobody serves this run")
        raise typer.Exit(1)
    ready = is_ready(state)
    if json:
        print_json(
            {
                "running": True,
                "ready": ready,
                "pid": state.pid,
                "base_url": state.base_url,
                "models": list(state.models),
                "weights": state.weights,
                "replicas": state.replicas,
            }
        )
        return
    typer.echo(f"address    {state.base_url}")
    typer.echo(f"models     {', '.join(state.models)}")
    typer.echo(f"weights    {state.weights}")
    typer.echo(f"replicas   {state.replicas}")
    typer.echo(f"ready      {'yes' if ready else 'no'}")
    typer.echo(f"process    {state.pid}")


@app.command("down")
def end(config: ConfigFile, overrides: Overrides = None) -> None:
    """End the service of the run, after its requests in progress."""
    from medr_ray.serving.service import end_service

    state = end_service(resolve_config(config, overrides))
    typer.echo("nobody serves this run" if state is None else f"process {state.pid} has ended")


@app.command("weights")
def swap_weights(
    weights: Annotated[
        str, typer.Argument(help="base, sft or grpo of the run, or a model's directory.")
    ],
    config: ConfigFile,
    overrides: Overrides = None,
) -> None:
    """Answer with other weights. No request fails; new ones wait while they are read."""
    from medr_ray.serving.service import order_weights

    state = order_weights(resolve_config(config, overrides), weights)
    typer.echo(f"{state.models[0]} now answers with {state.weights}")


@keys_app.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Who or what the key is for.")],
    config: OptionalConfigFile = None,
    overrides: Overrides = None,
    file: KeysFile = None,
    expires: Annotated[datetime | None, typer.Option(help="Last moment of the key, UTC.")] = None,
    rpm: Annotated[int | None, _PerMinute] = None,
    tpm: Annotated[int | None, _PerMinute] = None,
    concurrency: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Make a key and print it once; only its hash is kept. A running service takes it up."""
    from medr_ray.serving import keys

    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    path = _find_keys_file(file, config, overrides)
    key = keys.add_key(path, name, expires=expires, rpm=rpm, tpm=tpm, concurrency=concurrency)
    typer.echo(f"the key of {name}, which is kept nowhere else ({path} has its hash):", err=True)
    typer.echo(key)


@keys_app.command("remove")
def remove_key(
    name: Annotated[str, typer.Argument(help="The key's name.")],
    config: OptionalConfigFile = None,
    overrides: Overrides = None,
    file: KeysFile = None,
) -> None:
    """Take a key away. A running service refuses it from then on."""
    from medr_ray.serving import keys

    path = _find_keys_file(file, config, overrides)
    keys.remove_key(path, name)
    typer.echo(f"{name} is no key any more")


@keys_app.command("list")
def list_keys(
    config: OptionalConfigFile = None, overrides: Overrides = None, file: KeysFile = None
) -> None:
    """Print the names of the keys and their limits."""
    from medr_ray.serving import keys

    for key in keys.read_keys_file(_find_keys_file(file, config, overrides)):
        limits = key.model_dump(mode="json", exclude={"name", "sha256"}, exclude_none=True)
        typer.echo("  ".join([key.name, *(f"{field} {value}" for field, value in limits.items())]))


def _find_keys_file(file: Path | None, config: Path | None, overrides: list[str] | None) -> Path:
    """The file that is named on the command line, or by the configuration. Raises ConfigError."""
    from medr_ray.core.errors import ConfigError

    if file is not None:
        return file
    named = resolve_config(config, overrides).serving.keys_file
    if named is None:
        raise ConfigError("serving.keys_file names no file: set it, or give one with --file")
    return Path(named)
