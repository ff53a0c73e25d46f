"""What a name given on the command line means: one id, several to choose from, or none."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import polars as pl


def meaning_of(
    name: str,
    names: "pl.DataFrame",
    columns: Mapping[str, str],
    kind: str,
    where: str,
    as_json: bool,
) -> str | None:
    """The id of what ``name`` means among ``names`` (see
    ``entities.concept_summary.find_concepts``); None where it may mean several, which are printed
    with ``columns`` under the names these map to, the id first. ``kind`` is what they are called.
    DataError when it means none, with the nearest names."""
    from rich.console import Console

    from medr_ray.core.errors import DataError
    from medr_ray.entities.concept_summary import find_concepts, nearest_names

    found = find_concepts(names, name)
    if found.is_empty():
        near = nearest_names(names, name)
        hint = f"the nearest are {', '.join(near)}" if near else "nothing is written like it"
        raise DataError(f"{name!r} names none of the {kind} of {where}; {hint}")
    if found.height == 1:
        return str(found["concept_id"][0])
    rows = found.sort("concept_id").select(list(columns)).rename(dict(columns)).to_dicts()
    if as_json:
        typer.echo(json.dumps({"asked": name, "matches": rows}, ensure_ascii=False))
        return None
    lines = [f"  {next(iter(one.values()))}  {one['name']} ({one['entity_type']})" for one in rows]
    lines.insert(0, f"{name!r} may mean {len(rows)} {kind}; ask for one by its id:")
    Console().print("\n".join(lines), highlight=False, markup=False)
    return None
