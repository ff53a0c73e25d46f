"""The graph in the formats of other tools: GraphML, node-link JSON, Parquet, and CSV for
neo4j-admin's import.

Guaranteed: an export contains everything that the stored graph does, including evidence and in the
same order. Equal graphs give equal files. Names are unchanged, with two exceptions: characters that
XML forbids become U+FFFD in GraphML, and tabs in aliases become spaces in CSV, where tabs separate
them. A file appears whole or not at all, and is overwritten only on request.
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

NODES_CSV = "nodes.csv"
RELATIONSHIPS_CSV = "relationships.csv"
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
# Every character that XML 1.0 does not allow (production 2, Char).
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Files = Mapping[str, bytes]  # by name in the target folder; "" is the target itself


def export_graph(
    graph: StageDirectory, format_name: str, target: Path, force: bool = False
) -> list[Path]:
    """Write the finished graph in the format ``format_name``, a key of ``FORMATS``; returns the
    files written. ``target`` is the file, or for a format of several files the folder of them.

    Raises DataError where the graph is not finished, ConfigError where a file is in the way and not
    ``force``.
    """
    check_finished(graph)
    files = FORMATS[format_name](graph)
    paths = {target / name if name else target: data for name, data in files.items()}
    _check_target(target, list(paths), force)
    for path, data in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete, so that no reader ever sees a file that is written in part.
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


def _check_target(target: Path, paths: Sequence[Path], force: bool) -> None:
    """Raises ConfigError where the target is of the wrong kind, or a file exists and not
    ``force``."""
    is_folder = paths != [target]
    if target.exists() and target.is_dir() != is_folder:
        existing, written = ("file", "folder") if is_folder else ("folder", "file")
        raise ConfigError(
            f"{target} is a {existing}, and this format writes a {written}: give another --out"
        )
    in_the_way = [str(path) for path in paths if path.exists()]
    if in_the_way and not force:
        raise ConfigError(
            f"{', '.join(in_the_way)} exists already: give --force to overwrite, or another --out"
        )


# --- one graph for Python's tools -----------------------------------------------------


def to_node_link(entities: Iterable[Entity], relations: Iterable[Relation]) -> dict[str, Any]:
    """A directed multigraph as ``networkx.node_link_graph`` reads it; the edge key is the
    relation's id."""
    nodes = [_rename_keys(asdict(entity), entity_id="id") for entity in entities]
    edges = [
        _rename_keys(asdict(relation), subject="source", object="target", relation_id="key")
        for relation in relations
    ]
    return {"directed": True, "multigraph": True, "graph": {}, "nodes": nodes, "edges": edges}


def _rename_keys(values: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _export_json(graph: Directory) -> Files:
    """One JSON object, with keys in the order of the records' fields."""
    text = json.dumps(to_node_link(*read_graph(graph)), ensure_ascii=False, indent=1)
    return {"": f"{text}\n".encode()}


def _export_graphml(directory: Directory) -> Files:
    """GraphML has neither lists nor nulls: aliases and evidence are JSON texts, and null values are
    left out."""
    data = to_node_link(*read_graph(directory))
    graph = nx.MultiDiGraph()
    for node in data["nodes"]:
        graph.add_node(_to_xml_text(node.pop("id")), **_to_scalars(node))
    for edge in data["edges"]:
        edge["documents"] = ";".join(_list_documents(edge["evidence"]))
        source = _to_xml_text(edge.pop("source"))
        target = _to_xml_text(edge.pop("target"))
        key = _to_xml_text(edge.pop("key"))
        graph.add_edge(source, target, key=key, **_to_scalars(edge))
    buffer = io.BytesIO()
    nx.write_graphml(graph, buffer)
    return {"": buffer.getvalue()}


def _to_scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _to_scalar(value) for name, value in values.items() if value is not None}


def _to_scalar(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        value = json.dumps(value, ensure_ascii=False)
    return _to_xml_text(value) if isinstance(value, str) else value


def _to_xml_text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


# --- tables ---------------------------------------------------------------------------


def _export_neo4j(graph: Directory) -> Files:
    """Two CSV files for neo4j-admin's import, with its headers. Labels are entity types and
    relationship types are predicates, in Neo4j's usual spelling."""
    entities, relations = read_graph(graph)
    return {
        NODES_CSV: _format_csv(NODE_HEADER, map(_build_node_row, entities)),
        RELATIONSHIPS_CSV: _format_csv(
            RELATIONSHIP_HEADER, map(_build_relationship_row, relations)
        ),
    }


def build_neo4j_command(folder: Path) -> str:
    """The command that imports the CSV files of ``folder`` into an empty database."""
    return (
        f"neo4j-admin database import full --nodes={folder / NODES_CSV} "
        f"--relationships={folder / RELATIONSHIPS_CSV} "
        "--array-delimiter=TAB --multiline-fields=true"
    )


def _build_node_row(entity: Entity) -> list[object]:
    frequency = "" if entity.frequency is None else entity.frequency
    return [
        entity.entity_id,
        entity.name,
        _format_array(entity.aliases),
        entity.description,
        frequency,
        str(entity.is_seed).lower(),
        entity.entity_type.capitalize(),
    ]


def _build_relationship_row(relation: Relation) -> list[object]:
    evidence = [asdict(item) for item in relation.evidence]
    return [
        relation.subject,
        relation.object,
        relation.predicate.upper(),
        relation.relation_id,
        relation.temporal,
        relation.spatial,
        relation.clinical,
        relation.confidence,
        relation.extractor,
        _format_array(_list_documents(evidence)),
        json.dumps(evidence, ensure_ascii=False),
    ]


def _list_documents(evidence: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({item["document_id"] for item in evidence})


def _format_array(values: Iterable[str]) -> str:
    return ARRAY_DELIMITER.join(value.replace(ARRAY_DELIMITER, " ") for value in values)


def _format_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV in UTF-8. Every field is quoted, because neo4j-admin reads an unquoted empty field as
    null and "" as an empty text."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _export_parquet(graph: Directory) -> Files:
    """The stored tables, byte for byte."""
    return {table.name: graph.read_bytes(table.name) for table in (ENTITIES, RELATIONS)}


FORMATS: Mapping[str, Callable[[Directory], Files]] = {
    "graphml": _export_graphml,
    "json": _export_json,
    "parquet": _export_parquet,
    "neo4j-csv": _export_neo4j,
}
