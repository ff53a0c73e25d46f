"""The graph in the formats of other tools: GraphML, node-link JSON, Parquet, and CSV for
neo4j-admin's import.

What holds: an export tells all that the store does, evidence included, in the store's order, and
equal graphs give equal files; every name comes back as it was, but for characters that XML cannot
hold, which become U+FFFD in GraphML, and for tabs in aliases, which become spaces in CSV, where
tabs part them. A file appears whole or not at all, and none is overwritten unless that is asked
for.
"""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import networkx as nx

from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import Entity, Relation
from medr_ray.core.run import Directory, StageDirectory
from medr_ray.graph.artifacts import ENTITIES, RELATIONS

NODES_CSV, RELATIONSHIPS_CSV = "nodes.csv", "relationships.csv"
ARRAY_DELIMITER = "\t"
NODE_HEADER = (
    "entity_id:ID",
    "name:string",
    "aliases:string[]",
    "description:string",
    "frequency:double",
    "is_seed:boolean",
    ":LABEL",
)
RELATIONSHIP_HEADER = (
    ":START_ID",
    ":END_ID",
    ":TYPE",
    "relation_id:string",
    "temporal:string",
    "spatial:string",
    "clinical:string",
    "confidence:double",
    "extractor:string",
    "documents:string[]",
    "evidence:string",
)
_NOT_XML = re.compile(
    "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # XML 1.0, production 2

Files = Mapping[str, bytes]  # by name in the target folder; "" is the target itself


def export_graph(
    graph: StageDirectory, wanted: str, target: Path, force: bool = False
) -> list[Path]:
    """Write the finished graph in the format ``wanted``, a key of ``FORMATS``; returns the files
    written. ``target`` is the file, or for a format of several files the folder of them.

    Raises DataError where the graph is not finished, ConfigError where a file is in the way and not
    ``force``.
    """
    check_finished(graph)
    files = FORMATS[wanted](graph)
    paths = {target / name if name else target: data for name, data in files.items()}
    _check(target, list(paths), force)
    for path, data in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(data)
        os.replace(partial, path)
    return list(paths)


def read_graph(graph: Directory) -> tuple[list[Entity], list[Relation]]:
    """Entities and relations, sorted by id."""
    return graph.read(ENTITIES), graph.read(RELATIONS)


def check_finished(graph: StageDirectory) -> None:
    """DataError where there is no finished graph."""
    if graph.manifest() is None:
        raise DataError(f"{graph.uri} has no finished results: run `medr graph run`")


def _check(target: Path, paths: Sequence[Path], force: bool) -> None:
    """Raises ConfigError for what is in the way."""
    is_folder = paths != [target]
    if target.exists() and target.is_dir() != is_folder:
        raise ConfigError(
            f"{target} is a {'file' if is_folder else 'folder'}, and this format writes a "
            f"{'folder' if is_folder else 'file'}: give another --out"
        )
    there = [str(one) for one in paths if one.exists()]
    if there and not force:
        raise ConfigError(
            f"{', '.join(there)} exists already: give --force to overwrite, or another --out"
        )


# --- one graph for Python's tools -----------------------------------------------------


def node_link(entities: Iterable[Entity], relations: Iterable[Relation]) -> dict[str, Any]:
    """A directed multigraph as ``networkx.node_link_graph`` reads it; the edge key is the
    relation's id."""
    nodes = [_renamed(asdict(one), entity_id="id") for one in entities]
    edges = [
        _renamed(asdict(one), subject="source", object="target", relation_id="key")
        for one in relations
    ]
    return {"directed": True, "multigraph": True, "graph": {}, "nodes": nodes, "edges": edges}


def _renamed(values: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _json(graph: Directory) -> Files:
    text = json.dumps(node_link(*read_graph(graph)), ensure_ascii=False, indent=1)
    return {"": f"{text}\n".encode()}


def _graphml(directory: Directory) -> Files:
    """GraphML knows no lists: aliases and evidence are JSON texts. What is null is left out."""
    data = node_link(*read_graph(directory))
    graph = nx.MultiDiGraph()
    for node in data["nodes"]:
        graph.add_node(_xml_text(node.pop("id")), **_scalars(node))
    for edge in data["edges"]:
        documents = ";".join(_documents(edge["evidence"]))
        source, target, key = (_xml_text(edge.pop(name)) for name in ("source", "target", "key"))
        graph.add_edge(source, target, key=key, **_scalars({**edge, "documents": documents}))
    buffer = io.BytesIO()
    nx.write_graphml(graph, buffer)
    return {"": buffer.getvalue()}


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _scalar(value) for name, value in values.items() if value is not None}


def _scalar(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        value = json.dumps(value, ensure_ascii=False)
    return _xml_text(value) if isinstance(value, str) else value


def _xml_text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


# --- tables ---------------------------------------------------------------------------


def _neo4j(graph: Directory) -> Files:
    """Headers as neo4j-admin's import reads them. Labels are types, relationship types predicates,
    in Neo4j's style."""
    entities, relations = read_graph(graph)
    return {
        NODES_CSV: _csv(NODE_HEADER, map(_node_row, entities)),
        RELATIONSHIPS_CSV: _csv(RELATIONSHIP_HEADER, map(_relationship_row, relations)),
    }


def neo4j_command(folder: Path) -> str:
    """The command that imports the CSV files of ``folder`` into an empty database."""
    return (
        f"neo4j-admin database import full --nodes={folder / NODES_CSV} "
        f"--relationships={folder / RELATIONSHIPS_CSV} --array-delimiter=TAB --multiline-fields=true"
    )


def _node_row(one: Entity) -> list[object]:
    frequency = "" if one.frequency is None else one.frequency
    return [
        one.entity_id,
        one.name,
        _array(one.aliases),
        one.description,
        frequency,
        str(one.is_seed).lower(),
        one.entity_type.capitalize(),
    ]


def _relationship_row(one: Relation) -> list[object]:
    evidence = [asdict(each) for each in one.evidence]
    return [
        one.subject,
        one.object,
        one.predicate.upper(),
        one.relation_id,
        one.temporal,
        one.spatial,
        one.clinical,
        one.confidence,
        one.extractor,
        _array(_documents(evidence)),
        json.dumps(evidence, ensure_ascii=False),
    ]


def _documents(evidence: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({one["document_id"] for one in evidence})


def _array(values: Iterable[str]) -> str:
    return ARRAY_DELIMITER.join(one.replace(ARRAY_DELIMITER, " ") for one in values)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """UTF-8, every field quoted (so that "" stays an empty text), quotes doubled."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(graph: Directory) -> Files:
    """The store's own tables, byte for byte."""
    return {table.name: graph.read_bytes(table.name) for table in (ENTITIES, RELATIONS)}


FORMATS: Mapping[str, Callable[[Directory], Files]] = {
    "graphml": _graphml,
    "json": _json,
    "parquet": _parquet,
    "neo4j-csv": _neo4j,
}
