"""``medr facts show [ENTITY]``: the stage's counts, or what is stated about one entity, each with
source, record, field, printed value and date."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medr_ray.cli.options import ConfigFile, Overrides
from medr_ray.cli.showing import print_json, show_stage_or_item

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from medr_ray.core.records import Fact
    from medr_ray.core.run import Directory, RunDirectory
    from medr_ray.graph.facts.fact_store import FactStore


def show(
    config: ConfigFile,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="ENTITY",
            show_default=False,
            help="By name or id, such as NCT:NCT00000102; without it, the stage.",
        ),
    ] = None,
    overrides: Overrides = None,
    rows: Annotated[
        int, typer.Option("--rows", min=1, help="Rows to show, with ENTITY of each predicate.")
    ] = 5,
    as_json: Annotated[
        bool, typer.Option("--json", help="With ENTITY: one JSON object, with all facts.")
    ] = False,
) -> None:
    """Show the facts stage's counts and a few of its rows; or the facts about an entity."""

    def show_item(run: "RunDirectory", item: str) -> None:
        show_entity(run.stage("facts"), item, rows, as_json)

    json_error = "--json goes with an ENTITY; the stage's figures are in its manifest.json"
    show_stage_or_item(
        "facts", config, overrides, rows, name, show_item, json_error if as_json else ""
    )


def show_entity(directory: "Directory", name: str, rows: int, as_json: bool) -> None:
    """Print the facts about the entity that ``name`` means, or list the entities that it may mean.

    Raises DataError with the nearest names when it means none, and when there are no facts.
    """
    from rich.console import Console

    from medr_ray.cli.name_resolution import resolve_entity
    from medr_ray.graph.facts.fact_store import FactStore, read_entity_names

    store = FactStore.open(directory)
    entity_id = name if store.find_entity(name) is not None else None
    if entity_id is None:
        entity_id = resolve_entity(name, read_entity_names(directory), directory.uri, as_json)
    if entity_id is None:
        return
    if as_json:
        print_json(to_json_object(store, entity_id))
    else:
        print_facts(store, entity_id, Console(), rows)


def to_json_object(store: "FactStore", entity_id: str) -> dict[str, Any]:
    """The entity as registries name it, the facts about it, and how many there are in all: of very
    many, the store gives a part."""
    entity = store.find_entity(entity_id)
    facts = [asdict(fact) for fact in store.facts_about(entity_id)]
    return {
        **(asdict(entity) if entity else {"entity_id": entity_id}),
        "facts": facts,
        "facts_in_all": sum(store.count_facts(entity_id).values()),
    }


# --- on a terminal --------------------------------------------------------------------


def print_facts(store: "FactStore", entity_id: str, console: "Console", rows: int) -> None:
    """Print the entity and its facts, at most ``rows`` of each predicate and direction, the newest
    first.

    Of an entity that very many facts lead to, the store gives a part (see ``FactStore``): the
    heading says of how many.
    """
    from rich.text import Text

    entity = store.find_entity(entity_id)
    console.print(Text.assemble((store.name_of(entity_id), "bold"), "  ", (entity_id, "cyan")))
    if entity is not None:
        other_names = "; ".join(entity.names[1:])
        parts = [entity.entity_type, *([f"also called {other_names}"] if other_names else [])]
        console.print(Text(" · ".join([*parts, *entity.identifiers]), "dim"))

    def direction_key(fact: "Fact") -> tuple[str, bool]:
        return fact.predicate, fact.subject == entity_id

    totals = store.count_facts(entity_id)
    newest_first = sorted(store.facts_about(entity_id), key=_read_date, reverse=True)
    # Sorted, because an entity may be at both ends of one predicate; the sort keeps the order of
    # the facts within a group.
    for (predicate, forward), group in groupby(
        sorted(newest_first, key=direction_key), direction_key
    ):
        facts = list(group)[:rows]
        total = totals[predicate, forward]
        count = f"{len(facts):,} of {total:,}, newest first" if total > len(facts) else f"{total:,}"
        arrow = "→" if forward else "←"
        console.print()
        console.print(Text.assemble((f"{arrow} {predicate}", "bold magenta"), f" ({count})"))
        _print_group(store, facts, forward, console)


def _read_date(fact: "Fact") -> str:
    return fact.as_of


def _print_group(
    store: "FactStore", facts: "Sequence[Fact]", forward: bool, console: "Console"
) -> None:
    from rich.padding import Padding

    for fact in facts:
        console.print(Padding(_format_fact(store, fact, forward), (0, 0, 0, 2)))
        console.print(Padding(_format_evidence(fact), (0, 0, 0, 4)))


def _format_fact(store: "FactStore", fact: "Fact", forward: bool) -> "Text":
    """What stands at the other end, and the qualifiers."""
    from rich.text import Text

    qualifiers = "; ".join(f"{item.name} {item.value}" for item in fact.qualifiers)
    context = (f"  {qualifiers}" if qualifiers else "", "yellow")
    if forward and fact.literal is not None:
        unit = f" {fact.literal.unit}" if fact.literal.unit else ""
        return Text.assemble(f"{fact.literal.text}{unit}", context)
    other = fact.object if forward else fact.subject
    return Text.assemble(store.name_of(other), "  ", (other, "cyan"), context)


def _format_evidence(fact: "Fact") -> "Text":
    """Source, record, field, printed value and date."""
    from rich.text import Text

    evidence = fact.evidence
    as_of = f", as of {fact.as_of}" if fact.as_of else ""
    return Text.assemble(
        (f"{evidence.source} {evidence.record_id} {evidence.field}: ", "dim"),
        (f"“{evidence.value}”", "italic"),
        (as_of, "dim"),
    )
