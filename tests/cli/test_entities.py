"""``medr entities show``: the stage, or one concept on a terminal or as JSON."""

import json
from pathlib import Path

import pytest
from support.named_run import write_named_run

from medr_ray.cli.entities import draw_histogram
from medr_ray.cli.main import main


def show(root: Path, *arguments: str) -> int | str | None:
    settings = ("--set", f"run.root={root}", "--set", "run.name=named")
    (root / "c.yaml").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as exited:
        main(["entities", "show", "-c", str(root / "c.yaml"), *settings, *arguments])
    return exited.value.code


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write_named_run(tmp_path_factory.mktemp("runs")).local.parent)


def test_without_a_name_the_stage_is_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(root, "--rows", "2") == 0
    printed = capsys.readouterr().out
    assert "entities in 1.0 s" in printed
    assert "MESH:kuru" in printed
    assert show(root, "--json") == 2


def test_a_name_gives_the_summary(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(root, "marfan SYNDROME", "--rows", "2") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for part in (
        "Marfan syndrome OMIM:154700",
        "disease, cardiology",
        "3 of 6, 5 mentions",
        "0.5 (95 % interval 0.12 to 0.88)",
        "yes; rare is what is named in at most 4 of 6 citations",
        "accepted by rules, rank 4 of 4",
        "0.0001 of people; ORPHA:558",
        "marfan syndrome (3 | 4); marfan's disease (0 | 1) (citations | mentions)",
        "also called mfs1",
        "1999 █▁▁▁█ 2003, most in 2003 (1); 1 without a year",
        "named with FBN1 (2); Pain (1) We saw Marfan’s disease, not kuru, in pain. PMID:1, 1999",
        "(p<0.05). PMID:100, 2003",
        "FBN1 in Marfan syndrome PMID:20",
    ):
        assert part in printed


def test_json_is_one_object_with_everything(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(root, "OMIM:154700", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["concept_id"], result["documents"], result["specialty"], result["rare"]) == (
        "OMIM:154700",
        3,
        "cardiology",
        True,
    )
    assert result["significance"]["verdict"] is True
    assert result["years"][0] == {"year": 1999, "documents": 1}
    sample = result["samples"][0]
    assert sample["sentence"][sample["start"] : sample["end"]] == "Marfan’s disease"


def test_several_matches_are_listed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(root, "Twin disease") == 0
    printed = capsys.readouterr().out
    assert "may mean 2 concepts" in printed
    assert "OMIM:1  Twin disease (disease)" in printed
    assert show(root, "Twin disease", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [match["concept_id"] for match in result["matches"]] == ["OMIM:1", "OMIM:2"]


def test_an_unknown_name_is_one_line_that_names_the_nearest(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(root, "Marfann sindrome") == 1
    assert capsys.readouterr().err.endswith("the nearest are Marfan syndrome\n")
    assert show(root, "qqqq") == 1
    assert capsys.readouterr().err.endswith("nothing is written like it\n")


def test_a_run_without_the_stage_says_which_command_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(tmp_path, "Kuru") == 1
    assert "medr entities run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("years", "expected"),
    [
        ([], ""),
        ([(2000, 3)], "2000 (3)"),
        ([(None, 2)], "2 without a year"),
        ([(2000, 1), (2002, 9), (None, 1)], "2000 ▂▁█ 2002, most in 2002 (9); 1 without a year"),
        ([(1900, 0), (2000, 4)], "2000 (4)"),
        ([(2000, 4), (2001, 4)], "2000 ██ 2001, most in 2001 (4)"),
        (
            [(1900, 2), (1901, 2), (1980, 1)],
            f"1900 █{'▁' * 25}▃ 1980 (3 years a bar), most in 1901 (2)",
        ),
    ],
)
def test_a_histogram_runs_over_every_year(
    years: list[tuple[int | None, int]], expected: str
) -> None:
    assert draw_histogram(years) == expected
