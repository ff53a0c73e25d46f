"""Resolution of a name from the command line: to one id, several to choose from, or none."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from medr_ray.cli.showing import print_json

if TYPE_CHECKING:
    import polars as pl


def resolve_name(
    name: str,
    names: "pl.DataFrame",
    columns: Mapping[str, str],
    kind: str,
    where: str,
    as_json: bool,
) -> str | None:
    """Return the id that ``name`` stands for among ``names`` (see
    ``entities.concept_summary.find_concepts``), or None when it may stand for several.

    Several are printed with ``columns``, each renamed to the name it maps to, the id first.
    ``kind`` is the plural that messages use, ``where`` the place that was searched. Raises
    DataError, with the nearest names, when it stands for none.
    """
    from rich.console import Console

    from medr_ray.core.errors import DataError
    from medr_ray.entities.concept_summary import find_concepts, find_nearest_names

    matches = find_concepts(names, name)
    if matches.is_empty():
        near = find_nearest_names(names, name)
        hint = f"the nearest are {', '.join(near)}" if near else "nothing is written like it"
        raise DataError(f"{name!r} names none of the {kind} of {where}; {hint}")
    if matches.height == 1:
        return str(matches["concept_id"][0])
    rows = matches.sort("concept_id").select(list(columns)).rename(dict(columns)).to_dicts()
    if as_json:
        print_json({"asked": name, "matches": rows})
        return None
    lines = [f"{name!r} may mean {len(rows)} {kind}; ask for one by its id:"]
    for row in rows:
        identifier = next(iter(row.values()))
        lines.append(f"  {identifier}  {row['name']} ({row['entity_type']})")
    Console().print("\n".join(lines), highlight=False, markup=False)
    return None


def resolve_entity(name: str, names: "pl.DataFrame", where: str, as_json: bool) -> str | None:
    """``resolve_name`` among entities of a graph or of records. A product is meant only where
    nothing else has the name: a drug has many products of its name."""
    import polars as pl

    from medr_ray.entities.concept_summary import find_concepts

    others = names.filter(pl.col("entity_type") != "product")
    if not find_concepts(others, name).is_empty():
        names = others
    columns = {"concept_id": "entity_id", "name": "name", "entity_type": "entity_type"}
    return resolve_name(name, names, columns, "entities", where, as_json)
