"""``medr bench``: measurements found in a checkout, loaded by path, and printed as a table or as
one JSON object."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medr_ray.cli import bench
from medr_ray.cli.main import main
from medr_ray.core.errors import ConfigError
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement

SPEED = '''"""Speed: ours against a slow peer.

More about it.
"""
from support.counting_fake import COUNT
from medr_ray.core.measurement import build_measurement, skip_measurement

def measure(quick):
    print("a library prints this")
    ours = COUNT if quick else 200.0
    yield build_measurement(
        "records/s", ours, 100.0, "slow", least_ratio=1.5, unit="records/s"
    )
    yield skip_measurement("records/s", "fast", "pip install fast-peer")
'''


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with one measurement and what it shares with the tests; the current directory is
    below it."""
    (tmp_path / "tests" / "benchmarks").mkdir(parents=True)
    (tmp_path / "tests" / "support").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "medr-ray"\n', encoding="utf-8")
    (tmp_path / "tests" / "benchmarks" / "speed.py").write_text(SPEED, encoding="utf-8")
    (tmp_path / "tests" / "support" / "counting_fake.py").write_text(
        "COUNT = 120.0\n", encoding="utf-8"
    )
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    monkeypatch.setattr(sys, "path", list(sys.path))
    held = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "support"}
    for name in held:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "support"]:
        del sys.modules[name]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as exited:
        main(["bench", *arguments])
    printed = capsys.readouterr()
    return exited.value.code, printed.out, printed.err


def test_json_is_one_object_whatever_a_measurement_prints(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "speed", "--json")
    first, second = json.loads(out)["rows"]
    assert code == 0
    assert json.loads(out)["bench"] == "speed"
    assert first == {
        "measure": "records/s",
        "ours": 200.0,
        "peer": 100.0,
        "peer_name": "slow",
        "ratio": 2.0,
        "goal": 1.5,
        "met": True,
        "goal_of": "ratio",
        "unit": "records/s",
        "note": "",
    }
    assert (second["peer"], second["ratio"], second["met"]) == (None, None, False)
    assert second["note"] == "skipped: pip install fast-peer"
    assert "a library prints this" in err


def test_quick_is_handed_on_and_a_missed_goal_is_a_result(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "speed", "--json", "--quick")
    assert code == 0
    assert json.loads(out)["rows"][0]["ours"] == 120.0
    assert json.loads(out)["rows"][0]["met"] is False


def test_the_table_shows_each_measure_with_its_peer(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "speed")
    assert code == 0
    assert "yes" in out
    assert "1  peer slow" in out
    assert "2  peer fast; skipped: pip install fast-peer" in out


def test_without_a_name_the_measurements_are_listed_and_none_is_imported(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = checkout / "tests" / "benchmarks" / "broken.py"
    broken.write_text('"""Needs what is not there."""\nimport nothing_here\n', encoding="utf-8")
    code, out, _ = run(capsys)
    assert code == 0
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [
        ["broken", "Needs what is not there."],
        ["speed", "Speed: ours against a slow peer."],
    ]


def test_an_unknown_name_is_answered_with_the_nearest(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "sped")
    assert code == 1
    assert "no measurement sped" in err
    assert "did you mean speed?" in err


def test_a_file_without_measure_is_refused(checkout: Path) -> None:
    folder = checkout / "tests" / "benchmarks"
    (folder / "empty.py").write_text('"""Nothing."""\n')
    with pytest.raises(ConfigError, match=r"empty\.py: a measurement needs a function measure"):
        bench.load_benchmark(folder, "empty")


def test_outside_a_checkout_the_error_says_where_measurements_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests" / "benchmarks").mkdir(parents=True)  # somebody else's, which is not run
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    monkeypatch.setattr(
        bench, "__file__", str(tmp_path / "site-packages" / "medr_ray" / "cli" / "bench.py")
    )
    with pytest.raises(ConfigError, match="live in the repository, not in the wheel"):
        bench.find_folder(tmp_path)


def test_every_measurement_of_this_checkout_says_what_it_is(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    code, out, _ = run(capsys)
    assert code == 0
    assert {"engine", "extraction"} <= {line.split()[0] for line in out.splitlines()}
    assert "(no docstring)" not in out


def test_above_one_is_good_whichever_way_a_measure_points() -> None:
    assert build_measurement("MB/s", 30.0, 10.0, "peer").ratio == 3.0
    assert build_measurement("seconds", 10.0, 30.0, "peer", lower_is_better=True).ratio == 3.0
    assert (
        build_measurement("seconds", 10.0, 30.0, "peer", lower_is_better=True, least_ratio=3.5).met
        is False
    )
    assert build_measurement("MB/s", 30.0, 0.0, "peer", least_ratio=1.0) == Measurement(
        "MB/s", 30.0, 0.0, "peer", None, 1.0, False, "ratio"
    )


def test_a_goal_is_for_the_ratio_or_for_our_own_figure() -> None:
    assert build_measurement("F1", 0.7, 0.5, "plain", goal=0.693) == Measurement(
        "F1", 0.7, 0.5, "plain", 1.4, 0.693, True, "ours"
    )
    assert build_measurement("seconds", 12.0, goal=10.0, lower_is_better=True).met is False
    assert build_measurement("F1", 0.7).met is None
    with pytest.raises(ValueError, match="least_ratio with a peer"):
        build_measurement("MB/s", 30.0, least_ratio=1.0)


def test_a_skipped_peer_is_never_a_pass() -> None:
    assert skip_measurement("MB/s", "peer", "pip install peer", ours=30.0).met is False


def test_json_has_no_nan() -> None:
    assert (
        json.loads(bench.render_json("x", [build_measurement("loss", float("nan"))]))["rows"][0][
            "ours"
        ]
        is None
    )
