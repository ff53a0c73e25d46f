"""``medr submit``: the pipeline, or one stage of it, as a Ray job on a cluster.

The current directory travels with the job; runs, environments and history do not. Results go to
``run.root``, which a job on another machine can only share when it is absolute or a URI.
"""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve_config
from medr_ray.core.errors import ConfigError, InfrastructureError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

# What does not travel with the job, in the patterns of .gitignore.
_EXCLUDES = ["/runs/", "/.venv/", "/.git/", "/.cache/", "**/__pycache__/"]
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def submit(
    config: ConfigFile,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            envvar="RAY_API_SERVER_ADDRESS",
            help="The dashboard's URL, such as http://127.0.0.1:8265.",
        ),
    ],
    stage: Annotated[
        str | None, typer.Option("--stage", help="Only this stage and what it misses before it.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the log; exit 1 if the job fails.")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Submit the pipeline as a Ray job from the repository's root.

    Example: medr submit --address http://127.0.0.1:8265 -c configs/quickstart.yaml --wait
    """
    settings = _make_root_absolute(config, overrides or [], address)
    command = build_entrypoint(config, stage, settings)
    client = _open_client(address)
    # Ray uploads the folder and refuses a large one, hence the excludes.
    environment = {"working_dir": ".", "excludes": _EXCLUDES}
    job = client.submit_job(entrypoint=command, runtime_env=environment)
    typer.echo(f"submitted {job}: {command}")
    if wait:
        _follow_job(client, job)


def build_entrypoint(config: Path, stage: str | None, overrides: list[str]) -> str:
    """Return the shell command of the job, which runs in a copy of the current directory.

    Raises ConfigError for a file that is not under the current directory.
    """
    script = Path("jobs") / f"{stage or 'run_pipeline'}.py"
    for path in (script, config):
        if path.is_absolute() or not path.is_file():
            raise ConfigError(
                f"{path}: not a file under the current directory; submit from the repository's root"
            )
    words = ["python", str(script), "-c", str(config)]
    for override in overrides:
        words += ["--set", override]
    # The entrypoint is a command for a shell.
    return shlex.join(words)


def _make_root_absolute(config: Path, overrides: list[str], address: str) -> list[str]:
    """Return the overrides, with an absolute ``run.root`` if the cluster is this machine.

    Raises ConfigError for a relative root when the cluster is another machine.
    """
    root = resolve_config(config, overrides).run.root
    if "://" in root or Path(root).is_absolute():
        return overrides
    if urlsplit(address).hostname in _LOOPBACK:
        # A relative root would lie in the job's own copy of this folder.
        return [*overrides, f"run.root={Path(root).resolve()}"]
    raise ConfigError(
        f"run.root is {root!r}, which every node of a cluster resolves for itself: "
        "set it to shared storage (s3://…, gs://…, /mnt/…)"
    )


def _open_client(address: str) -> "JobSubmissionClient":
    """Return a client of the cluster. Raises InfrastructureError when it does not answer."""
    from medr_ray.cli.checks import ray_token_exists

    if ray_token_exists():
        # Before the import: Ray's client reads the variable once, when it is imported.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError, RayError) as error:
        raise InfrastructureError(f"{address}: {error}") from None


def _follow_job(client: "JobSubmissionClient", job: str) -> None:
    """Print the job's log until it ends. Raises InfrastructureError when it fails."""
    import asyncio

    from ray.job_submission import JobStatus

    async def tail() -> None:
        async for text in client.tail_job_logs(job):
            typer.echo(text, nl=False)

    asyncio.run(tail())
    status = client.get_job_status(job)
    if status != JobStatus.SUCCEEDED:
        raise InfrastructureError(f"{job}: {status}: {client.get_job_info(job).message}")
    typer.echo(f"{job}: {status}")
