"""``medr graph show [ENTITY]``: the stage's counts, or one entity with its relations and their
evidence; ``medr graph export``: the graph for other tools."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medr_ray.cli.options import ConfigFile, Overrides, resolve_config
from medr_ray.cli.showing import print_json, show_stage_or_item

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from medr_ray.core.run import RunDirectory
    from medr_ray.graph.neighbourhood import Neighbourhood, PredicateGroup, RelationLink


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

    def show_item(run: "RunDirectory", item: str) -> None:
        show_entity(run, item, rows, as_json)

    json_error = "--json goes with an ENTITY; the stage's figures are in its manifest.json"
    show_stage_or_item(
        "graph", config, overrides, rows, name, show_item, json_error if as_json else ""
    )


def export(
    config: ConfigFile,
    format_name: Annotated[
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

    from medr_ray.core.run import open_run
    from medr_ray.graph.graph_export import build_neo4j_command, export_graph

    graph = open_run(resolve_config(config, overrides)).stage("graph")
    lines = [
        f"{path}: {path.stat().st_size:,} bytes"
        for path in export_graph(graph, format_name, out, force)
    ]
    if format_name == "neo4j-csv":
        lines.append(build_neo4j_command(out))
    console = Console()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def show_entity(run: "RunDirectory", name: str, rows: int, as_json: bool) -> None:
    """Print the neighbourhood of the entity that ``name`` means and the facts about it, or list the
    entities that it may mean. An entity that only records name has no neighbourhood.

    Raises DataError with the nearest names when it means none, and when there is no finished graph.
    """
    import polars as pl
    from rich.console import Console

    from medr_ray.cli import facts
    from medr_ray.cli.name_resolution import resolve_entity
    from medr_ray.graph.facts.fact_store import FactStore, read_entity_names
    from medr_ray.graph.graph_export import check_finished
    from medr_ray.graph.neighbourhood import read_names, read_neighbourhood

    graph = run.stage("graph")
    check_finished(graph)
    names = read_names(graph)
    in_graph = set(names["concept_id"])
    store = None
    if run.stage("facts").manifest() is not None:
        store = FactStore.open(run.stage("facts"))
        record_names = read_entity_names(run.stage("facts"))
        only_in_records = record_names.filter(~pl.col("concept_id").is_in(in_graph))
        names = pl.concat([names.select(record_names.columns), only_in_records])
    entity = resolve_entity(name, names, graph.uri, as_json)
    if entity is None:
        return
    neighbourhood = read_neighbourhood(graph, entity) if entity in in_graph else None
    if as_json:
        in_graph_object = to_json_object(neighbourhood) if neighbourhood else {}
        print_json({**(facts.to_json_object(store, entity) if store else {}), **in_graph_object})
        return
    console = Console()
    if neighbourhood:
        print_neighbourhood(neighbourhood, console, rows)
    # Of many entities of the graph no record states anything.
    if store and (neighbourhood is None or store.count_facts(entity)):
        if neighbourhood:
            console.print()
        facts.print_facts(store, entity, console, rows)


def to_json_object(neighbourhood: "Neighbourhood") -> dict[str, Any]:
    """Return the entity's own fields, its degree and its relations.

    Each relation is as stored, with its direction from this entity and the entity at its other end.
    """
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
    """Print the entity and its relations, at most ``rows`` of each predicate and direction."""
    from rich.padding import Padding
    from rich.text import Text

    entity = neighbourhood.entity
    console.print(Text.assemble((entity.name, "bold"), "  ", (entity.entity_id, "cyan")))
    console.print(Text(_describe_entity(neighbourhood), "dim"))
    for group in neighbourhood.groups:
        console.print()
        console.print(_format_heading(group))
        for link in group.links[:rows]:
            console.print(Padding(_format_link(link), (0, 0, 0, 2)))
            for sentence in _format_evidence(link):
                console.print(Padding(sentence, (0, 0, 0, 4)))
        if len(group.links) > rows:
            console.print(Text(f"  and {len(group.links) - rows:,} more", "dim"))


def _describe_entity(neighbourhood: "Neighbourhood") -> str:
    entity = neighbourhood.entity
    relations = sum(len(group.links) for group in neighbourhood.groups)
    parts = [
        entity.entity_type + (", seed" if entity.is_seed else ""),
        f"neighbours: {neighbourhood.degree:,}",
        f"relations: {relations:,}",
    ]
    if entity.frequency is not None:
        parts.append(f"in {entity.frequency:.2g} of the citations")
    if entity.aliases:
        parts.append(f"also called {'; '.join(entity.aliases)}")
    return " · ".join(parts)


def _format_heading(group: "PredicateGroup") -> "Text":
    """Return the predicate with an arrow: from this entity to others, or the other way."""
    from rich.text import Text

    arrow = "→" if group.forward else "←"
    return Text.assemble((f"{arrow} {group.predicate}", "bold magenta"), f" ({len(group.links):,})")


def _format_link(link: "RelationLink") -> "Text":
    """Return the entity at the other end, the confidence, and the qualifiers of the relation."""
    from rich.text import Text

    relation = link.relation
    qualifiers = (relation.clinical, relation.temporal, relation.spatial)
    context = "; ".join(qualifier for qualifier in qualifiers if qualifier)
    return Text.assemble(
        link.other.name,
        "  ",
        (link.other.entity_id, "cyan"),
        "  ",
        f"{relation.confidence:.2f}",
        (f"  {context}" if context else "", "yellow"),
    )


def _format_evidence(link: "RelationLink") -> "list[Text]":
    """Return each sentence that states the relation, with its source."""
    from rich.text import Text

    return [
        Text.assemble((f"“{evidence.sentence}”", "italic"), "  ", (evidence.origin, "dim"))
        for evidence in link.relation.evidence
    ]
