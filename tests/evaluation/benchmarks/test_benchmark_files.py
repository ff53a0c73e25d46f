"""Benchmarks that are files: which file a name stands for, what its rows become, what is said of a
broken one, and that encrypted text stays out of everything that is printed."""

import asyncio
import base64
import csv
import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.records import Task
from medr_ray.core.run import RunDirectory
from medr_ray.core.settings import load_config
from medr_ray.evaluation.benchmarks import find_benchmark, select_benchmarks
from medr_ray.evaluation.benchmarks.files import FileBenchmark
from medr_ray.evaluation.scorers.base import MissingJudge
from medr_ray.evaluation.scorers.bioasq import KIND_KEY
from medr_ray.evaluation.scorers.letters import read_options
from medr_ray.evaluation.scorers.medbrowsecomp import TASK_KEY

CANARY = "canary 7"


def open_file(reference: str) -> FileBenchmark:
    benchmark = find_benchmark(reference)
    assert isinstance(benchmark, FileBenchmark)
    return benchmark


def read_tasks(reference: str) -> tuple[Task, ...]:
    return open_file(reference).read_content().tasks


def write_lines(path: Path, *rows: Any) -> Path:
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_csv(path: Path, *rows: list[str]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def encode_shifted(text: str) -> str:
    return base64.b64encode("".join(chr(ord(c) + 3) for c in text).encode()).decode()


def encrypt(text: str, key: bytes) -> str:
    data = text.encode()
    return base64.b64encode(
        bytes(byte ^ key[position % len(key)] for position, byte in enumerate(data))
    ).decode()


# --- real files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "count"),
    [
        ("medbrowsecomp:{}/medbrowsecomp", 50),
        ("xbench:{}/xbench/DeepSearch-2505.csv", 100),
        ("gaia:{}/test_gaia.jsonl", 2),
        ("bioasq:{}/bioasq/7B1_golden.json.gz", 80),
        ("musique:{}/multihop/musique.json.gz", 500),
        ("2wiki:{}/multihop/2wiki.json.gz", 500),
        ("bamboogle:{}/multihop/bamboogle.json.gz", 125),
        ("{}/sample.jsonl", 5),
    ],
)
def test_published_files_are_read_where_they_lie(
    shared_data: Path, reference: str, count: int
) -> None:
    tasks = read_tasks(reference.format(shared_data / "benchmarks"))
    assert len(tasks) == count
    assert len({task.task_id for task in tasks}) == count
    assert all(task.text and task.answer for task in tasks)


def test_medbrowsecomp_has_five_tasks_and_plain_line_breaks(shared_data: Path) -> None:
    tasks = read_tasks(f"medbrowsecomp:{shared_data / 'benchmarks' / 'medbrowsecomp'}")
    counts = Counter(task.metadata_value(TASK_KEY) for task in tasks)
    assert set(counts.values()) == {10}
    assert not any(task.text.startswith('"') or "\\n" in task.text for task in tasks)
    assert sum(task.text.endswith("COMPANY: name.") for task in tasks) == 10


def test_xbench_is_decrypted_in_memory_only(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = open_file(f"xbench:{shared_data / 'benchmarks' / 'xbench'}")
    content = benchmark.read_content()
    assert all(task.language == "zh" for task in content.tasks)
    assert sum("\u4e00" <= task.text[0] <= "\u9fff" for task in content.tasks) > 50
    printed = [repr(benchmark), repr(content), benchmark.describe_source()]
    printed += [repr(task) for task in content.tasks]
    print(content.tasks[0], [*content.tasks[:2]], benchmark)
    printed.append(capsys.readouterr().out)
    for task in content.tasks:
        assert not any(task.text in text or task.text[:12] in text for text in printed)


def test_bioasq_counts_its_summary_questions_and_asks_repeats_once(shared_data: Path) -> None:
    content = open_file(f"bioasq:{shared_data / 'benchmarks' / 'bioasq'}").read_content()
    assert content.skipped == {
        "summary questions, which have no exact answer": 213,
        "repeats of questions of earlier files": 1,
    }
    assert len(content.tasks) == 683
    kinds = Counter(task.metadata_value(KIND_KEY) for task in content.tasks)
    assert set(kinds) == {"yesno", "factoid", "list"}


@pytest.mark.parametrize(
    "reference",
    ["bioasq:{}/bioasq", "musique:{}/multihop/musique.json.gz", "gaia:{}/test_gaia.jsonl"],
)
def test_the_right_answers_of_real_files_are_right_by_their_official_scorers(
    shared_data: Path, tmp_path: Path, reference: str
) -> None:
    benchmark = open_file(reference.format(shared_data / "benchmarks"))
    official = benchmark.build_scorers(load_config(), RunDirectory(str(tmp_path)))[0]

    async def score_all() -> list[str]:
        tasks = benchmark.read_content().tasks
        return [(await official.score(task, task.answer)).verdict for task in tasks]

    verdicts = asyncio.run(score_all())
    # Some right answers hold the signs that stand between the candidates of an answer.
    assert verdicts.count("incorrect") <= 0.02 * len(verdicts)


# --- rows -------------------------------------------------------------------------------


def test_medbrowsecomp_keeps_na_as_a_right_answer(tmp_path: Path) -> None:
    header = ["prompt", "gold", "Applicant_Full_Name_prompt"]
    rows = [header, ["Which company?", "NA", "Applicant_Full_Name"]]
    path = write_csv(tmp_path / "m.csv", *([encode_shifted(c) for c in row] for row in rows))
    (task,) = read_tasks(f"medbrowsecomp:{path}")
    assert (task.answer, task.metadata_value(TASK_KEY)) == ("NA", "Applicant_Full_Name")


def test_browsecomp_is_decrypted_with_the_digest_of_its_canary(tmp_path: Path) -> None:
    key = hashlib.sha256(CANARY.encode()).digest()
    path = write_csv(
        tmp_path / "b.csv",
        ["problem", "answer", "problem_topic", "canary"],
        [encrypt("Which village?", key), encrypt("Aldea", key), "Geography", CANARY],
    )
    (task,) = read_tasks(f"browsecomp:{path}")
    assert (task.text, task.answer) == ("Which village?", "Aldea")
    assert task.metadata_value("topic") == "Geography"
    assert task.is_secret
    assert "village" not in repr(task)


def test_gaia_has_levels_and_names_the_file_of_a_question(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "g.jsonl",
        {
            "task_id": "1",
            "Question": "Sum?",
            "Level": 2,
            "Final answer": "3",
            "file_name": "a.xlsx",
        },
        {"task_id": "2", "Question": "Who?", "Level": 1, "Final answer": "?", "file_name": ""},
    )
    with_file, without = read_tasks(f"gaia:{path}")
    assert with_file.text == "Sum?\n\nThe question comes with this file: a.xlsx"
    assert (with_file.metadata_value("level"), without.text) == ("2", "Who?")


@pytest.mark.parametrize(
    ("row", "answer", "options"),
    [
        (
            {"question": "Q?", "options": {"A": "x", "B": "y"}, "answer": "y", "answer_idx": "B"},
            "B",
            {"A": "x", "B": "y"},
        ),
        ({"question": "Q?", "options": ["x", "y", "z"], "answer": "z"}, "C", {"A": "x"}),
        ({"question": "Q?", "A": "x", "B": "y", "answer": "B"}, "B", {"B": "y"}),
        ({"question": "多选？", "option": {"A": "x", "B": "y"}, "answer": "AB"}, "AB", {"A": "x"}),
        ({"QUESTION": "Q?", "final_decision": "maybe"}, "C", {"A": "yes", "C": "maybe"}),
    ],
)
def test_multiple_choice_is_answered_by_letter(
    tmp_path: Path, row: dict[str, Any], answer: str, options: dict[str, str]
) -> None:
    (task,) = read_tasks(f"multiple-choice:{write_lines(tmp_path / 'c.jsonl', row)}")
    assert task.answer == answer
    assert options.items() <= read_options(task).items()
    assert all(f"{letter}. {text}" in task.text for letter, text in options.items())
    assert ("选项的字母" in task.text) == (task.language == "zh")


def test_pubmedqa_s_object_of_objects_is_read(tmp_path: Path) -> None:
    content = {"123": {"QUESTION": "Q?", "final_decision": "no"}}
    path = tmp_path / "ori_pqal.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    (task,) = read_tasks(f"multiple-choice:{path}")
    assert (task.answer, task.metadata_value("item")) == ("B", "123")


def test_a_file_of_your_own_may_be_csv_or_json_lines(tmp_path: Path) -> None:
    table = write_csv(
        tmp_path / "mine.csv",
        ["id", "question", "answer", "aliases", "category"],
        ["7", "Which virus?", "Hepatitis B", "HBV; hepatitis B virus", "liver"],
        ["8", "几岁？", "NA", "", "age"],
    )
    virus, age = read_tasks(str(table))
    assert (virus.answer, virus.aliases) == ("Hepatitis B", ("HBV", "hepatitis B virus"))
    assert (virus.metadata_value("category"), virus.metadata_value("item")) == ("liver", "7")
    assert (age.answer, age.language, virus.language) == ("NA", "zh", "en")
    lines = write_lines(tmp_path / "mine.jsonl", {"question": "How many?", "answer": 3})
    assert read_tasks(str(lines))[0].answer == "3"


# --- errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "row", "message"),
    [
        ("", {"question": "q"}, "1 of 2 rows are no question: line 2 has no answer in 'answer'"),
        ("", {"answer": "a"}, "line 2 has no text in 'question'"),
        (
            "",
            {"question": "q", "answer": "a", "language": "de"},
            "language 'de': expected en or zh",
        ),
        ("", {"question": "q", "answer": "a", "hops": "two"}, "in 'hops': expected a whole number"),
        ("", {"question": "q", "answer": "a", "aliases": [1]}, "no list of texts in 'aliases'"),
        ("bioasq:", {"body": "q", "type": "essay"}, "type 'essay': expected yesno"),
        ("bioasq:", {"body": "q", "type": "list"}, "no list in 'exact_answer'"),
        ("bioasq:", {"body": "q", "type": "yesno", "exact_answer": "?"}, "neither yes nor no"),
        ("musique:", {"question": "q", "answer": []}, "no answer in 'answer'"),
        ("multiple-choice:", {"question": "q", "answer": "A"}, "no options in 'options'"),
        (
            "multiple-choice:",
            {"question": "q", "options": {"A": "x", "C": "y"}, "answer": "A"},
            "options that are not two to 10",
        ),
        (
            "multiple-choice:",
            {"question": "q", "options": ["x", "y"], "answer": "D"},
            "neither a letter nor the text of an option",
        ),
    ],
)
def test_a_row_that_is_no_question_is_named_with_its_field(
    tmp_path: Path, reference: str, row: dict[str, Any], message: str
) -> None:
    sound: dict[str, dict[str, Any]] = {
        "": {"question": "Q?", "answer": "a"},
        "bioasq:": {"body": "Q?", "type": "yesno", "exact_answer": "yes"},
        "musique:": {"question": "Q?", "answer": ["a"]},
        "multiple-choice:": {"question": "Q?", "options": ["x", "y"], "answer": "x"},
    }
    path = write_lines(tmp_path / "broken.jsonl", sound[reference], row)
    with pytest.raises(DataError) as caught:
        read_tasks(f"{reference}{path}")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "Mend the file" in str(caught.value)


def test_all_broken_rows_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    rows = [{"question": f"q{number}"} for number in range(9)]
    with pytest.raises(DataError, match=r"9 of 9 rows .* line 5 .*; and 4 more"):
        read_tasks(str(write_lines(tmp_path / "many.jsonl", *rows)))


def test_an_error_of_an_encrypted_file_does_not_show_its_text(tmp_path: Path) -> None:
    key = CANARY.encode()
    header = ["id", "prompt", "answer", "canary"]
    path = write_csv(
        tmp_path / "x.csv", header, ["1", encrypt("秘密的题目", key), encrypt(" ", key), CANARY]
    )
    with pytest.raises(DataError, match="has no answer") as caught:
        read_tasks(f"xbench:{path}")
    assert "秘密" not in str(caught.value)


# --- names ------------------------------------------------------------------------------


def test_a_benchmark_without_its_file_says_how_to_name_it() -> None:
    with pytest.raises(ConfigError, match=r"gaia:/path/to/file, or under evaluation\.benchmark_"):
        select_benchmarks(["gaia"])


def test_the_file_of_a_benchmark_can_be_configured(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "g.jsonl", {"Question": "Sum?", "Final answer": "3"})
    config = load_config(
        None,
        ["evaluation.benchmarks=[gaia]", f"evaluation.benchmark_files={{gaia: {path}}}"],
    )
    evaluation = config.evaluation
    (benchmark,) = select_benchmarks(evaluation.benchmarks, evaluation.benchmark_files)
    assert len(benchmark.load_tasks(config, RunDirectory(str(tmp_path)))) == 1


def test_two_files_of_one_benchmark_are_named_after_them(tmp_path: Path) -> None:
    paths = [
        write_lines(tmp_path / f"level {number}.jsonl", {"Question": "?", "Final answer": "3"})
        for number in (1, 2)
    ]
    benchmarks = select_benchmarks([f"gaia:{path}" for path in paths])
    assert [benchmark.name for benchmark in benchmarks] == ["gaia-level-1", "gaia-level-2"]


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("gaia:/no/such.jsonl", DataError, "/no/such.jsonl"),
        ("/no/such.csv", DataError, "/no/such.csv"),
        ("heldout:/a/file", ConfigError, "heldout is no file"),
        ("gaiaa:/a/file", ConfigError, "cannot be imported"),
        ("bioask", ConfigError, "did you mean 'bioasq'"),
    ],
)
def test_a_wrong_reference_is_explained(
    reference: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        select_benchmarks([reference])[0].describe_source()


def test_a_folder_without_benchmark_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no file"):
        find_benchmark(f"gaia:{tmp_path}")


# --- scorers ----------------------------------------------------------------------------


def list_scorers(name: str, config: PipelineConfig, root: Path) -> list[str]:
    benchmark = find_benchmark(f"{name}:{write_lines(root / 'x.jsonl', {'question': '?'})}")
    return [scorer.name for scorer in benchmark.build_scorers(config, RunDirectory(str(root)))]


@pytest.mark.parametrize(
    ("name", "scorers"),
    [
        ("medbrowsecomp", ["medbrowsecomp", "medbrowsecomp-rules", "rules"]),
        ("xbench", ["xbench", "rules"]),
        ("browsecomp", ["browsecomp", "rules"]),
        ("gaia", ["gaia", "rules"]),
        ("bioasq", ["bioasq", "bioasq-lenient", "rules"]),
        ("musique", ["squad", "rules"]),
        ("2wiki", ["hotpotqa", "rules"]),
        ("multiple-choice", ["letters"]),
    ],
)
def test_the_official_scorer_comes_first_with_a_judge_and_without(
    tmp_path: Path, name: str, scorers: list[str]
) -> None:
    with_judge = ["evaluation.judge=llm", "llm.model=m", "llm.base_url=http://127.0.0.1:9/v1"]
    assert list_scorers(name, load_config(), tmp_path) == scorers
    assert list_scorers(name, load_config(None, with_judge), tmp_path) == scorers


def test_an_official_model_judge_without_an_endpoint_is_not_ours_under_its_name(
    tmp_path: Path,
) -> None:
    path = write_lines(tmp_path / "x.jsonl", {"prompt": "?", "answer": "a"})
    benchmark = find_benchmark(f"xbench:{path}")
    official, ours = benchmark.build_scorers(load_config(), RunDirectory(str(tmp_path)))
    assert isinstance(official, MissingJudge)
    assert official.identity() != ours.identity()
