"""``medr graph show [ENTITY]``: the stage's counts, or one entity with its relations and their
evidence; and ``medr graph export``: the graph for other tools."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from medr_ray.core.run import StageDirectory
    from medr_ray.graph.neighbourhood import Group, Link, Neighbourhood


def show(
    config: ConfigFile,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="ENTITY",
            show_default=False,
            help="By name, alias or id; without it, the stage.",
        ),
    ] = None,
    overrides: Overrides = None,
    rows: Annotated[
        int, typer.Option("--rows", min=1, help="Rows to show, with ENTITY of each predicate.")
    ] = 5,
    as_json: Annotated[
        bool, typer.Option("--json", help="With ENTITY: one JSON object, with all rows.")
    ] = False,
) -> None:
    """Show the graph stage's counts and a few of its rows; or an entity's relations with their
    evidence."""
    if name is None:
        from medr_ray.cli.stages import show_stage

        if as_json:
            raise typer.BadParameter(
                "--json goes with an ENTITY; the stage's figures are in its manifest.json"
            )
        show_stage("graph", config, overrides, rows)
        return
    from medr_ray.core.run import run_directory

    show_entity(run_directory(resolve(config, overrides)).stage("graph"), name, rows, as_json)


def export(
    config: ConfigFile,
    wanted: Annotated[
        Literal["graphml", "json", "parquet", "neo4j-csv"],
        typer.Option(
            "--format",
            help="json is node-link JSON; parquet and neo4j-csv make a folder of two files.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", help="The file, or the folder, to write.")
    ],
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write the graph, with its evidence, in a format that other tools read."""
    from rich.console import Console

    from medr_ray.core.run import run_directory
    from medr_ray.graph.graph_export import export_graph, neo4j_command

    console = Console()
    for path in export_graph(
        run_directory(resolve(config, overrides)).stage("graph"), wanted, out, force
    ):
        console.print(
            f"{path}: {path.stat().st_size:,} bytes", highlight=False, markup=False, soft_wrap=True
        )
    if wanted == "neo4j-csv":
        console.print(neo4j_command(out), highlight=False, markup=False, soft_wrap=True)


def show_entity(graph: "StageDirectory", name: str, rows: int, as_json: bool) -> None:
    """Print the neighbourhood of the entity that ``name`` means, or the entities it may mean.
    DataError when it means none, with the nearest names, or when there is no finished graph."""
    from rich.console import Console

    from medr_ray.cli.name_resolution import meaning_of
    from medr_ray.graph.graph_export import check_finished
    from medr_ray.graph.neighbourhood import read_names, read_neighbourhood

    check_finished(graph)
    columns = {"concept_id": "entity_id", "name": "name", "entity_type": "entity_type"}
    entity = meaning_of(name, read_names(graph), columns, "entities", graph.uri, as_json)
    if entity is None:
        return
    neighbourhood = read_neighbourhood(graph, entity)
    if as_json:
        typer.echo(json.dumps(as_object(neighbourhood), ensure_ascii=False))
    else:
        print_neighbourhood(neighbourhood, Console(), rows)


def as_object(neighbourhood: "Neighbourhood") -> dict[str, Any]:
    """The neighbourhood as plain values, ready for JSON: the entity's own first, then each relation
    as stored with the direction it has from here and the entity at its other end."""
    relations = [
        {
            "direction": "out" if group.forward else "in",
            **asdict(link.relation),
            "other": {
                "entity_id": link.other.entity_id,
                "name": link.other.name,
                "entity_type": link.other.entity_type,
            },
        }
        for group in neighbourhood.groups
        for link in group.links
    ]
    return {**asdict(neighbourhood.entity), "degree": neighbourhood.degree, "relations": relations}


# --- on a terminal --------------------------------------------------------------------


def print_neighbourhood(neighbourhood: "Neighbourhood", console: "Console", rows: int) -> None:
    """The entity and its relations, at most ``rows`` of each predicate and direction."""
    from rich.padding import Padding
    from rich.text import Text

    one = neighbourhood.entity
    console.print(Text.assemble((one.name, "bold"), "  ", (one.entity_id, "cyan")))
    console.print(Text(_about(neighbourhood), "dim"))
    for group in neighbourhood.groups:
        console.print()
        console.print(_heading(group))
        for link in group.links[:rows]:
            console.print(Padding(_line(link), (0, 0, 0, 2)))
            for text in _evidence(link):
                console.print(Padding(text, (0, 0, 0, 4)))
        if len(group.links) > rows:
            console.print(Text(f"  and {len(group.links) - rows:,} more", "dim"))


def _about(neighbourhood: "Neighbourhood") -> str:
    one, count = neighbourhood.entity, sum(len(group.links) for group in neighbourhood.groups)
    parts = [
        one.entity_type + (", seed" if one.is_seed else ""),
        f"neighbours: {neighbourhood.degree:,}",
        f"relations: {count:,}",
        f"in {one.frequency:.2g} of the citations" if one.frequency is not None else "",
        f"also called {'; '.join(one.aliases)}" if one.aliases else "",
    ]
    return " · ".join(filter(None, parts))


def _heading(group: "Group") -> "Text":
    """The predicate with an arrow: from this entity to others, or from others to this one."""
    from rich.text import Text

    arrow = "→" if group.forward else "←"
    return Text.assemble((f"{arrow} {group.predicate}", "bold magenta"), f" ({len(group.links):,})")


def _line(link: "Link") -> "Text":
    from rich.text import Text

    one = link.relation
    context = "; ".join(filter(None, (one.clinical, one.temporal, one.spatial)))
    return Text.assemble(
        link.other.name,
        "  ",
        (link.other.entity_id, "cyan"),
        "  ",
        f"{one.confidence:.2f}",
        (f"  {context}" if context else "", "yellow"),
    )


def _evidence(link: "Link") -> "list[Text]":
    """Each sentence that states the relation, and where."""
    from rich.text import Text

    return [
        Text.assemble((f"“{one.sentence}”", "italic"), "  ", (one.origin, "dim"))
        for one in link.relation.evidence
    ]
