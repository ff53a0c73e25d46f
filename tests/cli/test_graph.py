"""``medr graph show`` and ``medr graph export``: the stage, one entity with its evidence, and files
for other tools."""

import json
from pathlib import Path

import pytest
from support.graph_run import HARD_NAMES, LONG, RECORD_IDS, write_graph

from medr_ray.cli.main import main
from medr_ray.core.records import Entity
from medr_ray.core.run import RunDirectory
from medr_ray.graph import storage


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write_graph(tmp_path_factory.mktemp("runs")).local.parent)


def medr(root: Path, command: str, *arguments: str) -> int | str | None:
    (root / "c.yaml").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as exited:
        main(
            ["graph", command, "-c", str(root / "c.yaml"), "--set", f"run.root={root}", *arguments]
        )
    return exited.value.code


def read_output(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, however its lines were broken."""
    return " ".join(capsys.readouterr().out.split())


def test_without_an_entity_the_stage_is_shown(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "show", "--rows", "2") == 0
    assert "graph in 1.0 s" in read_output(capsys)
    assert medr(root, "show", "--json") == 2


def test_an_entity_is_shown_with_its_relations_both_ways_and_their_evidence(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "show", "kuru <p&q>; X,Y") == 0
    output = read_output(capsys)
    for part in (
        "Kuru <p&q>; x,y D:4",
        "disease, seed",
        "neighbours: 3 · relations: 3 · in 1e-05 of the citations",
        "→ associated_gene (1) GBA1 GENE:GBA1 1.00 “Gene: GBA1; "
        "NCBI Gene ID: 2629; Disease: ORPHA:85212” HPO:ORPHA:85212, citing PMID:7",
        "Seizure HP:1 1.00 3 of 7 patients",
        "→ treated_with (1) Losartan DRUG:1 0.65 “Kuru <p&q>; x,y (p<0.05, 5 mg/kg/day, CD4+) was "
        '"treated" with losartan.” PMID:9, citing PMID:7',
    ):
        assert part in output
    assert (
        output.index("associated_gene") < output.index("has_finding") < output.index("treated_with")
    )
    assert medr(root, "show", "gene:gba1", "--rows", "2") == 0
    output = read_output(capsys)
    assert '← associated_gene (5) Alpha/beta "mixed" syndrome D:1' in output
    assert "and 3 more" in output


def test_json_is_one_object_with_every_relation(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "show", "GBA1", "--json", "--rows", "1") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["entity_id"], result["degree"], len(result["relations"])) == ("GENE:GBA1", 5, 5)
    assert {relation["direction"] for relation in result["relations"]} == {"in"}
    assert {relation["other"]["name"] for relation in result["relations"]} == set(
        HARD_NAMES.values()
    )
    first = result["relations"][0]
    assert first["evidence"][0]["document_id"] == f"HPO:{RECORD_IDS[first['other']['entity_id']]}"
    assert first["subject"] == first["other"]["entity_id"]


@pytest.mark.parametrize("name", [HARD_NAMES["D:1"], HARD_NAMES["D:2"], LONG, "d:3"])
def test_names_of_every_kind_are_found_and_printed_whole(
    root: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert medr(root, "show", name) == 0
    assert " ".join(HARD_NAMES.get(name.upper(), name).split()) in read_output(capsys)


def test_an_unknown_name_is_one_line_that_names_the_nearest(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert medr(root, "show", "Krabe disease") == 1
    assert capsys.readouterr().err.endswith("the nearest are Krabbe disease\n")
    assert medr(root, "show", "zzzzzz") == 1
    assert capsys.readouterr().err.endswith("nothing is written like it\n")


def test_several_meanings_are_listed(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twins = [
        Entity(entity_id, "Twin [bold]disease", "disease", ("twins",), "", None, False)
        for entity_id in ("D:1", "D:2")
    ]
    graph = RunDirectory(str(tmp_path / "default")).stage("graph")
    storage.write_graph(graph, twins, [], {})
    graph.write_json("manifest.json", {"fingerprint": "x"})
    assert medr(tmp_path, "show", "Twins") == 0
    output = read_output(capsys)
    assert "'Twins' may mean 2 entities" in output
    assert "D:1 Twin [bold]disease (disease) D:2" in output
    assert medr(tmp_path, "show", "Twins", "--json") == 0
    assert [match["entity_id"] for match in json.loads(capsys.readouterr().out)["matches"]] == [
        "D:1",
        "D:2",
    ]


@pytest.mark.parametrize(
    ("format_name", "files"),
    [
        ("graphml", ["out"]),
        ("json", ["out"]),
        ("parquet", ["entities.parquet", "relations.parquet"]),
        ("neo4j-csv", ["nodes.csv", "relationships.csv"]),
    ],
)
def test_export_writes_each_format_and_says_what(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    format_name: str,
    files: list[str],
) -> None:
    out = tmp_path / "out"
    assert medr(root, "export", "--format", format_name, "--out", str(out)) == 0
    output = capsys.readouterr().out
    written = [out] if files == ["out"] else [out / name for name in files]
    assert [line.split(": ")[0] for line in output.splitlines()[: len(written)]] == list(
        map(str, written)
    )
    assert all(path.stat().st_size for path in written)
    assert ("neo4j-admin database import full" in output) == (format_name == "neo4j-csv")
    assert medr(root, "export", "--format", format_name, "--out", str(out)) == 1
    assert "--force" in capsys.readouterr().err
    assert medr(root, "export", "--format", format_name, "--out", str(out), "--force") == 0


def test_a_format_that_is_none_is_a_usage_error(root: Path, tmp_path: Path) -> None:
    assert medr(root, "export", "--format", "dot", "--out", str(tmp_path / "out")) == 2


def test_a_run_without_the_stage_says_which_command_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, arguments in (
        ("show", ["Kuru"]),
        ("export", ["--format", "json", "--out", str(tmp_path / "out")]),
    ):
        assert medr(tmp_path, command, *arguments) == 1
        assert "medr graph run" in capsys.readouterr().err
