"""The graph in the formats of other tools: read back by these tools' rules, it is the same
graph."""

import csv
import io
import json
from pathlib import Path

import networkx as nx
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.graph_run import HARD_NAMES, write_graph

from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import Entity, Evidence, Relation, from_table
from medr_ray.core.run import MANIFEST, StageDirectory
from medr_ray.graph import storage
from medr_ray.graph.graph_export import FORMATS, build_neo4j_command, export_graph, read_graph

IN_XML = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufffe\uffff")
NAMES = st.text(IN_XML, min_size=1, max_size=300)
TEXTS = st.one_of(
    st.just(""),
    NAMES,
    st.sampled_from(['p<0.05; "5 mg/kg/day"', "CD4+ & CD8-", "a\nb", "=1+1,'x'"]),
)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> StageDirectory:
    return write_graph(tmp_path_factory.mktemp("run")).stage("graph")


@st.composite
def draw_graphs(draw: st.DrawFn) -> tuple[list[Entity], list[Relation]]:
    ids = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    entities = [
        Entity(
            entity_id,
            draw(NAMES),
            draw(st.sampled_from(["disease", "gene"])),
            tuple(draw(st.lists(NAMES, max_size=3))),
            draw(TEXTS),
            draw(st.one_of(st.none(), st.floats(0, 1))),
            draw(st.booleans()),
        )
        for entity_id in sorted(ids)
    ]
    ends = st.sampled_from(ids)
    relations = [
        Relation(
            f"rel-{number}",
            draw(ends),
            draw(st.sampled_from(["treated_with", "has_onset"])),
            draw(ends),
            draw(TEXTS),
            draw(TEXTS),
            draw(TEXTS),
            draw(st.floats(0, 1)),
            "rules",
            tuple(
                Evidence("pubmed", draw(NAMES), draw(TEXTS), 0, 5, draw(TEXTS))
                for _ in range(draw(st.integers(1, 3)))
            ),
        )
        for number in range(draw(st.integers(0, 4)))
    ]
    return entities, relations


def write_finished_graph(
    root: Path, entities: list[Entity], relations: list[Relation]
) -> StageDirectory:
    directory = StageDirectory(str(root))
    storage.write_graph(directory, entities, relations, {})
    return directory


# --- each format read back ------------------------------------------------------------


def parse_evidence(rows: list[dict[str, object]]) -> tuple[Evidence, ...]:
    return tuple(Evidence(**row) for row in rows)  # type: ignore[arg-type]


def from_networkx(graph: nx.MultiDiGraph, unpack: bool) -> tuple[list[Entity], list[Relation]]:
    """The records of a graph; ``unpack`` where lists are JSON texts and what was empty may be left
    out."""

    def lists(value: object) -> list[dict[str, object]]:
        return json.loads(value) if unpack and isinstance(value, str) else value  # type: ignore[return-value]

    entities = [
        Entity(
            key,
            node["name"],
            node["entity_type"],
            tuple(map(str, lists(node["aliases"]))),
            node.get("description", ""),
            node.get("frequency"),
            node["is_seed"],
        )
        for key, node in graph.nodes(data=True)
    ]
    relations = [
        Relation(
            key,
            start,
            edge["predicate"],
            end,
            edge.get("temporal", ""),
            edge.get("spatial", ""),
            edge.get("clinical", ""),
            edge["confidence"],
            edge["extractor"],
            parse_evidence(lists(edge["evidence"])),
        )
        for start, end, key, edge in graph.edges(keys=True, data=True)
    ]
    return sorted(entities, key=lambda entity: entity.entity_id), sorted(
        relations, key=lambda relation: relation.relation_id
    )


def read_json(files: dict[str, bytes]) -> tuple[list[Entity], list[Relation]]:
    return from_networkx(nx.node_link_graph(json.loads(files[""]), edges="edges"), unpack=False)


def read_graphml(files: dict[str, bytes]) -> tuple[list[Entity], list[Relation]]:
    return from_networkx(nx.read_graphml(io.BytesIO(files[""]), force_multigraph=True), unpack=True)


def read_parquet(files: dict[str, bytes]) -> tuple[list[Entity], list[Relation]]:
    return (
        from_table(Entity, pq.read_table(io.BytesIO(files["entities.parquet"]))),
        from_table(Relation, pq.read_table(io.BytesIO(files["relations.parquet"]))),
    )


def read_rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def split_array(text: str) -> tuple[str, ...]:
    return tuple(text.split("\t")) if text else ()


def read_csv(files: dict[str, bytes]) -> tuple[list[Entity], list[Relation]]:
    """Reads by the rules of neo4j-admin: typed columns, arrays split by its array delimiter."""
    entities = [
        Entity(
            row["entity_id:ID"],
            row["name:string"],
            row[":LABEL"].lower(),
            split_array(row["aliases:string[]"]),
            row["description:string"],
            float(row["frequency:double"]) if row["frequency:double"] else None,
            {"true": True, "false": False}[row["is_seed:boolean"]],
        )
        for row in read_rows(files["nodes.csv"])
    ]
    relations = []
    for row in read_rows(files["relationships.csv"]):
        evidence = parse_evidence(json.loads(row["evidence:string"]))
        assert split_array(row["documents:string[]"]) == tuple(
            sorted({each.document_id for each in evidence})
        )
        relations.append(
            Relation(
                row["relation_id:string"],
                row[":START_ID"],
                row[":TYPE"].lower(),
                row[":END_ID"],
                row["temporal:string"],
                row["spatial:string"],
                row["clinical:string"],
                float(row["confidence:double"]),
                row["extractor:string"],
                evidence,
            )
        )
    return entities, relations


READERS = {
    "graphml": read_graphml,
    "json": read_json,
    "parquet": read_parquet,
    "neo4j-csv": read_csv,
}


@pytest.mark.parametrize("format_name", sorted(FORMATS))
@settings(max_examples=40, deadline=None)
@given(tables=draw_graphs())
def test_whatever_is_exported_comes_back(
    format_name: str,
    tables: tuple[list[Entity], list[Relation]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = write_finished_graph(tmp_path_factory.mktemp("graph"), *tables)
    assert READERS[format_name](dict(FORMATS[format_name](directory))) == tables


@pytest.mark.parametrize("format_name", sorted(FORMATS))
def test_hard_names_and_evidence_come_back_from_the_files(
    graph: StageDirectory, tmp_path: Path, format_name: str
) -> None:
    target = tmp_path / "new folder" / "out"
    paths = export_graph(graph, format_name, target)
    files = {"" if path == target else path.name: path.read_bytes() for path in paths}
    entities, relations = READERS[format_name](files)
    assert (entities, relations) == read_graph(graph)
    assert {entity.entity_id: entity.name for entity in entities}.items() >= HARD_NAMES.items()
    assert any("CD4+" in item.sentence for relation in relations for item in relation.evidence)
    assert sorted(path.name for path in target.parent.iterdir()) == ["out"]


def test_the_header_is_the_one_that_the_import_tool_requires(
    graph: StageDirectory, tmp_path: Path
) -> None:
    export_graph(graph, "neo4j-csv", tmp_path / "csv")
    nodes = read_rows((tmp_path / "csv" / "nodes.csv").read_bytes())
    assert {node[":LABEL"] for node in nodes} == {"Disease", "Drug", "Gene", "Phenotype"}
    relationships = read_rows((tmp_path / "csv" / "relationships.csv").read_bytes())
    assert list(relationships[0])[:3] == [":START_ID", ":END_ID", ":TYPE"]
    assert {relationship[":TYPE"] for relationship in relationships} == {
        "ASSOCIATED_GENE",
        "HAS_FINDING",
        "TREATED_WITH",
    }
    command = build_neo4j_command(tmp_path / "csv")
    assert f"--nodes={tmp_path}/csv/nodes.csv" in command
    assert "--array-delimiter=TAB" in command


def test_only_characters_that_xml_forbids_are_replaced(tmp_path: Path) -> None:
    entity = Entity("A\x01", "tab\tand\x00 \ud7ff", "gene", ("\x1f",), "", None, False)
    directory = write_finished_graph(tmp_path, [entity], [])
    (entity,), _ = read_graphml(dict(FORMATS["graphml"](directory)))
    assert (entity.entity_id, entity.name) == ("A\ufffd", "tab\tand\ufffd \ud7ff")
    assert entity.aliases == ("\x1f",)  # JSON escapes it


def test_files_are_overwritten_only_on_request(graph: StageDirectory, tmp_path: Path) -> None:
    folder, file = tmp_path / "csv", tmp_path / "graph.json"
    folder.mkdir()
    (folder / "nodes.csv").write_text("mine")
    file.write_text("mine")
    with pytest.raises(ConfigError, match=r"nodes\.csv exists already: give --force"):
        export_graph(graph, "neo4j-csv", folder)
    assert [path.name for path in folder.iterdir()] == ["nodes.csv"]
    with pytest.raises(ConfigError, match=r"graph\.json exists already"):
        export_graph(graph, "json", file)
    with pytest.raises(ConfigError, match="is a file, and this format writes a folder"):
        export_graph(graph, "parquet", file, force=True)
    with pytest.raises(ConfigError, match="is a folder, and this format writes a file"):
        export_graph(graph, "graphml", folder, force=True)
    assert (file.read_text(), (folder / "nodes.csv").read_text()) == ("mine", "mine")
    (folder / "notes.txt").write_text("mine")
    export_graph(graph, "neo4j-csv", folder, force=True)
    assert sorted(path.name for path in folder.iterdir()) == [
        "nodes.csv",
        "notes.txt",
        "relationships.csv",
    ]


def test_an_unfinished_graph_is_not_exported(graph: StageDirectory, tmp_path: Path) -> None:
    copy = write_finished_graph(tmp_path / "graph", *read_graph(graph))
    assert not copy.exists(MANIFEST)
    with pytest.raises(DataError, match="medr graph run"):
        export_graph(copy, "json", tmp_path / "out.json")
