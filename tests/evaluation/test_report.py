"""The report of a hand-written run directory states exactly what the run reached."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from rich.console import Console
from scipy.stats import binomtest
from support.handmade_run import write_run

from medr_ray.core.errors import DataError
from medr_ray.core.run import RunDirectory
from medr_ray.evaluation.report import print_report, write_report
from medr_ray.evaluation.report.curves import build_heldout_curves
from medr_ray.evaluation.report.formatting import draw_sparkline, format_number
from medr_ray.evaluation.report.json_layout import build_report_json
from medr_ray.evaluation.report.records import TrainingLog

GOOD = {"base": 0, "sft": 15, "grpo": 30}


def test_report_json_has_the_figures_of_every_stage(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, GOOD)
    returned = write_report(config, run)
    report = json.loads((run.local / "report.json").read_text())
    assert report == build_report_json(returned)
    assert report["corpus"]["citations"] == 50783
    assert report["entities"]["rare"] == 900
    assert report["graph"]["relations"] == 4000
    assert report["questions"]["accepted"] == 400
    assert report["trajectories"]["accepted"] == 350
    assert report["stages"]["evaluation"]["seconds"] == 20.0
    assert report["seconds"] == pytest.approx(9 * 10.5 + 20)
    assert report["sft"]["loss_curve"] == [3.0, 2.0, 1.0]
    assert report["grpo"]["reward_mean_curve"] == [0.3, 0.4]
    assert report["grpo"]["mismatch_kl_curve"] == [0.001, 0.001]


def test_exact_match_intervals_and_the_paired_test_are_in_the_report(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, GOOD, unscored=2)
    evaluation = build_report_json(write_report(config, run))["evaluation"]
    sft = evaluation["sft"]
    interval = binomtest(15, 38).proportion_ci(0.95, method="wilson")
    assert (sft["exact_match"], sft["n"], sft["unscored"]) == (pytest.approx(15 / 38), 38, 2)
    assert (sft["low"], sft["high"]) == pytest.approx((interval.low, interval.high))
    assert sft["answer_rate"] == 1.0
    test = evaluation["grpo_vs_sft"]
    assert (test["b"], test["c"], test["n"]) == (0, 15, 38)
    assert test["p_value"] == pytest.approx(binomtest(0, 15).pvalue)
    assert sum(hop["n"] for hop in sft["by_hops"].values()) == 38


def test_what_models_used_stands_beside_what_was_estimated(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, GOOD)
    manifest = run.stage("questions").read_json("manifest.json")
    estimate = {"requests": 400, "input_tokens": 9000, "output_tokens": 800, "usd": 1.5}
    row = {"role": "writer", "model": "m", "requests": 410, "failed": 3, "cached": 2}
    used = {"input_tokens": 9500, "output_tokens": 700, "usd": 1.25, "seconds": 61.0}
    manifest["models"] = [{**row, **used, "estimate": estimate}]
    run.stage("questions").write_json("manifest.json", manifest)
    report = write_report(config, run)
    assert build_report_json(report)["stages"]["questions"]["models"] == manifest["models"]
    assert "models" not in build_report_json(report)["stages"]["graph"]
    markdown = (run.local / "report.md").read_text()
    line = "| writer | m | 410 (400) | 9,500 (9,000) | 700 (800) | 1.25 (1.50) | 2 | 3 | 61 |"
    assert line in markdown


@pytest.mark.parametrize(
    ("grpo", "sentence"),
    [
        (30, "grpo beats sft"),
        (17, "grpo does not differ provably from sft"),
        (2, "grpo is worse than sft"),
    ],
)
def test_the_conclusion_follows_the_figures(tmp_path: Path, grpo: int, sentence: str) -> None:
    config, run = write_run(tmp_path, {"base": 0, "sft": 15, "grpo": grpo})
    conclusions = write_report(config, run).conclusions
    assert conclusions[0].startswith("sft beats base")
    assert conclusions[1].startswith(sentence)
    assert "n = 40" in conclusions[1]


def test_unscored_answers_are_mentioned(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, GOOD, unscored=3)
    assert "base 3, sft 3, grpo 3" in write_report(config, run).conclusions[-1]


def test_markdown_keeps_a_model_s_words_inside_their_cell(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, GOOD)
    write_report(config, run)
    text = (run.local / "report.md").read_text()
    assert "&lt;b>no\\|thing&lt;/b>" in text
    tables = [line for line in text.splitlines() if line.startswith("| weights | said")]
    assert len(tables) == 4
    for name in ("base", "sft", "grpo"):
        assert f"| {name} |" in text
    assert "125 s" not in text
    assert "114 s in all" in text


def test_the_terminal_shows_figures_curves_and_samples(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, GOOD)
    report = write_report(config, run)
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=160))
    printed = stream.getvalue()
    assert "75.0 %" in printed
    assert "█▅▁" in printed or "█▄▁" in printed
    assert "grpo beats sft" in printed
    assert "Each update sent the engines 85,696 bytes of weights." in printed
    assert "What is the name of thing 0?" in printed
    assert "report.json" in printed


def test_a_run_that_got_half_way_is_reported_half(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, GOOD)
    for name in ("sft", "grpo", "evaluation"):
        run.stage(name).clear()
    report = write_report(config, run)
    layout = build_report_json(report)
    assert "evaluation" not in layout
    assert list(layout["stages"])[-1] == "trajectories"
    print_report(report, Console(file=io.StringIO()))


def test_the_curves_of_training_are_a_picture_beside_the_report(tmp_path: Path) -> None:
    config, run = write_run(tmp_path, GOOD)
    write_report(config, run)
    picture = (run.local / "learning.svg").read_bytes()
    texts = {text.text for text in etree.fromstring(picture).iter("{*}text")}
    assert {"SFT loss", "GRPO reward"} <= texts
    assert "![Curves of training](learning.svg)" in (run.local / "report.md").read_text()
    write_report(config, run)
    assert (run.local / "learning.svg").read_bytes() == picture


def test_held_out_curves_begin_before_the_first_update_and_tell_hops_apart() -> None:
    def measure(exact_match: float, hops: dict[str, float]) -> dict[str, Any]:
        return {
            "heldout_questions": 20,
            "heldout_exact_match": exact_match,
            "heldout_low": exact_match - 0.1,
            "heldout_high": exact_match + 0.1,
            "heldout_by_hops": {
                number: {"questions": 10, "exact_match": share, "low": 0.0, "high": 1.0}
                for number, share in hops.items()
            },
        }

    nothing = {"heldout_questions": None}
    before = {"heldout_before": measure(0.3, {"2": 0.4, "10": 0.2})}
    after = measure(0.5, {"2": 0.6, "10": 0.4})
    curves = build_heldout_curves(TrainingLog(({**nothing, **before}, after)))
    assert [(curve.title, curve.points) for curve in curves] == [
        ("GRPO exact match on held-out questions", ((0, 0.3), (2, 0.5))),
        ("GRPO exact match on held-out questions of 2 hops", ((0, 0.4), (2, 0.6))),
        ("GRPO exact match on held-out questions of 10 hops", ((0, 0.2), (2, 0.4))),
    ]
    assert curves[0].band == ((0, 0.3 - 0.1, 0.3 + 0.1), (2, 0.4, 0.6))
    assert build_heldout_curves(TrainingLog((nothing, nothing))) == []
    one_number = measure(0.5, {"3": 0.5})
    assert len(build_heldout_curves(TrainingLog((one_number,)))) == 1


def test_a_run_without_a_finished_stage_has_no_report(tmp_path: Path) -> None:
    config, _ = write_run(tmp_path / "other", GOOD)
    empty = RunDirectory(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="no finished stage"):
        write_report(config, empty)


def test_sparklines() -> None:
    assert draw_sparkline([0.0, None, 1.0]) == "▁ █"
    assert draw_sparkline([2.0, 2.0]) == "▁▁"
    assert draw_sparkline([]) == ""
    assert len(draw_sparkline([float(i) for i in range(1000)])) == 40


def test_numbers_are_readable() -> None:
    assert [format_number(value) for value in (50783, 0.123456, 12345.67, None)] == [
        "50,783",
        "0.1235",
        "12,345.7",
        "-",
    ]
