"""``medr registries``: the snapshot of facts inside the package, one of newer files, and the files
themselves."""

from pathlib import Path
from typing import Annotated, Any

import typer

from medr_ray.cli.options import Overrides

app = typer.Typer(
    name="registries", help="Snapshots of what registries state.", no_args_is_help=True
)

_COUNTS = ("records", "facts", "unusable", "kB")


@app.command()
def build(
    files: Annotated[
        list[str],
        typer.Option(
            "--from", metavar="FILE", help="A registry's file, plain or gzip; give it many times."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the snapshot.")
    ],
    overrides: Overrides = None,
) -> None:
    """Make a snapshot of registry files; each is recognised by its content.

    Name its folder in facts.snapshot and it takes the place of the package's. A registry without a
    file keeps what an earlier snapshot in the folder has of it. A build that was killed left no
    new manifest: the same command starts it from the beginning.
    """
    from medr_ray.cli.options import resolve_config
    from medr_ray.core.session import ray_session
    from medr_ray.knowledge.registries.snapshot import snapshot_manifest
    from medr_ray.knowledge.registries.snapshot_build import build_snapshot, group_files

    groups = group_files(files)
    with ray_session(resolve_config(None, overrides).ray):
        build_snapshot(groups, output)
    _print_manifest(snapshot_manifest(output))
    typer.echo(f"snapshot: {output}; what could not be used is in its *.quarantine.jsonl")


@app.command()
def show(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="A snapshot's folder; the package's by default."),
    ] = None,
    predicates: Annotated[
        bool, typer.Option("--predicates", help="Facts by predicate, and what was left out.")
    ] = False,
) -> None:
    """Print the sources of a snapshot, their dates, licences and counts."""
    from medr_ray.knowledge.registries.snapshot import snapshot_manifest

    manifest = snapshot_manifest(directory)
    _print_manifest(manifest)
    if predicates:
        _print_predicates(manifest)


@app.command()
def download(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="Folder for the publishers' files.")
    ],
    sources: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="Only this registry; may be repeated."),
    ] = None,
    addresses: Annotated[
        list[str] | None,
        typer.Option(
            "--address", metavar="FILE=URL", help="Another address of a file; may be repeated."
        ),
    ] = None,
) -> None:
    """Fetch the original files of Drugs@FDA, the Orange Book and Orphanet into DEST; files that are
    there stay, what was killed resumes."""
    from rich.console import Console

    from medr_ray.corpus.registry_download import choose_files, fetch_registry_files

    pairs = [address.partition("=") for address in addresses or ()]
    for name, sign, url in pairs:
        if not (name and sign and url):
            raise typer.BadParameter("--address is FILE=URL")
    files = choose_files(sources or (), {name: url for name, _, url in pairs})
    fetch_registry_files(files, destination, Console())


def _print_manifest(manifest: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("source", "as of", "records", "facts", "unusable", "kB"):
        table.add_column(column, justify="right" if column in _COUNTS else "left")
    for source, entry in manifest["sources"].items():
        as_of = entry["as_of"]
        table.add_row(
            source,
            " to ".join(dict.fromkeys((as_of["oldest"], as_of["newest"]))),
            f"{entry['records']:,}",
            f"{entry['facts']:,}",
            f"{entry['unusable']:,}",
            f"{sum(entry['bytes'].values()) / 1000:,.0f}",
        )
    console = Console()
    console.print(table)
    for source, entry in manifest["sources"].items():
        shared = len(entry["names_of_several_companies"])
        line = f"{source}: {entry['attribution']} ({entry['page']}; {entry['licence']})"
        if shared:
            line += f"; {shared:,} company names may stand for several companies"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_predicates(manifest: dict[str, Any]) -> None:
    for source, entry in manifest["sources"].items():
        for key, title in (("by_predicate", "facts"), ("left_out", "left out")):
            counts = ", ".join(f"{name} {count:,}" for name, count in entry[key].items())
            typer.echo(f"{source} {title}: {counts or 'none'}")
