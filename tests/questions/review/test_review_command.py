"""``medr questions review`` as a process: keys, kills, files of other readers, results."""

import json
import os
import pty
import select
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.reviewed_run import (
    FINGERPRINT,
    make_questions,
    read_rows,
    review_command,
    run_medr,
    run_review,
    start_review,
    write_config,
    write_questions_stage,
    write_reviewed_run,
)

from medr_ray.core.earlier_results import (
    delete_earlier_results,
    list_earlier_results,
    set_results_aside,
)
from medr_ray.core.settings import load_config
from medr_ray.evaluation.report import write_report
from medr_ray.questions.review.draw import Draw, draw_questions

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(150)]

_SECONDS = 60  # a process may take to show a question on a busy machine


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process prints up to the line with ``words``."""
    assert process.stdout is not None
    printed = ""
    while words not in printed:
        line = process.stdout.readline()
        assert line, f"{words!r} was never printed: {printed}"
        printed += line
    return printed


def test_a_review_that_is_killed_goes_on_and_loses_no_verdict(tmp_path: Path) -> None:
    run = write_reviewed_run(tmp_path, make_questions(12))
    manifest = run.stage("questions").read_bytes("manifest.json")
    acknowledged: dict[str, str] = {}
    for attempt, judged in enumerate((2, 5, 9)):
        arguments = ("-n", "10", "--seed", "3", "--reviewer", "anna")
        with start_review(tmp_path, *arguments) as process:
            assert process.stdin is not None
            before = len(acknowledged)
            for number in range(before, judged):
                read_until(process, f"{number} judged ---")
                process.stdin.write(f"nnote {attempt}.{number}\n")
                process.stdin.write("ay\n" if number % 2 else "38\nn\n")
                process.stdin.flush()
            # The next question on the screen says that the last verdict is kept.
            read_until(process, f"{judged} judged ---")
            process.stdin.write("r8")
            process.stdin.flush()
            os.kill(process.pid, signal.SIGKILL)
        rows = read_rows(tmp_path, "anna")
        assert len(rows) == judged
        kept = {row["question_id"]: row["note"] for row in rows}
        assert acknowledged.items() <= kept.items()
        acknowledged = kept
    status, printed = run_review(
        tmp_path, "-n", "10", "--seed", "3", "--reviewer", "anna", keys="ay"
    )
    assert status == 0
    assert "anna: 9 of 10 judged" in printed
    # 5 of the notes are of refusals: numbers 0, 2, 4, 6 and 8.
    assert "accepted by readers: 5 of 10 (50.0 %, 95 % interval 18.7 to 81.3)" in printed
    assert "fewer than the 90 %" in printed
    assert "defects: not_unique 5, wording 5" in printed
    assert [row["note"] for row in read_rows(tmp_path, "anna")[:9]] == list(acknowledged.values())
    drawn = draw_questions(make_questions(12), Draw(3, 10))
    assert {row["question_id"] for row in read_rows(tmp_path, "anna")} == {
        question.task.task_id for question in drawn
    }
    after = run.stage("questions").manifest()
    assert after is not None
    assert after["fingerprint"] == json.loads(manifest)["fingerprint"] == FINGERPRINT
    assert after["counts"]["review"]["accepted"] == 5
    assert after["counts"]["accepted"] == 12
    assert run.stage("questions").is_whole(check_content=True)
    config = load_config(write_config(tmp_path), (), environment={})
    report = write_report(config, run)
    figures = run.read_json("report.json")["questions"]
    assert figures["accepted"] == 12
    assert figures["review"]["accepted_share"] == 0.5
    assert figures["review"]["defects"] == {"not_unique": 5, "wording": 5}
    text = run.read_bytes("report.md").decode()
    assert "## Questions as readers judge them" in text
    assert "| anna | 10 | 50.0 % | 18.7 to 81.3 % | 50.0 % | not_unique 5, wording 5 |" in text
    assert "fewer than the 90 % that a set of questions needs" in text
    assert report.review is not None
    shown = run_medr("questions", "show", "-c", str(write_config(tmp_path)))
    assert "accepted 5 of 10 (50.0 %" in " ".join(shown.split())


def test_a_line_torn_by_a_kill_is_named_and_costs_only_itself(tmp_path: Path) -> None:
    write_reviewed_run(tmp_path, make_questions(4))
    arguments = ("-n", "4", "--reviewer", "anna")
    run_review(tmp_path, *arguments, keys="ayay")
    path = tmp_path / "reviewed" / "reviews" / "questions" / "anna.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    _, printed = run_review(tmp_path, *arguments, keys="4\nn4\nn4\nn")
    assert "anna.jsonl line 2 is no verdict" in printed
    assert "anna: 1 of 4 judged" in printed
    assert "accepted by readers: 1 of 4" in printed
    assert len(path.read_text().splitlines()) == 5


def test_two_reviews_of_one_reader_at_once_keep_all_verdicts(tmp_path: Path) -> None:
    write_reviewed_run(tmp_path, make_questions(60))
    # Of the two sides, so that no question is in both draws.
    reviews = [
        start_review(tmp_path, "-n", "20", "--split", split, "--reviewer", "anna")
        for split in ("train", "heldout")
    ]
    for process in reviews:
        assert process.stdin is not None
        process.stdin.write("ay8\nn" * 10)
        process.stdin.flush()
    for process in reviews:
        with process:
            process.communicate(timeout=_SECONDS)
            assert process.returncode == 0
    rows = read_rows(tmp_path, "anna")
    assert sorted(row["split"] for row in rows) == ["heldout"] * 20 + ["train"] * 20


def test_keys_of_a_terminal_are_taken_as_they_are_pressed(tmp_path: Path) -> None:
    write_reviewed_run(tmp_path, make_questions(3))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        review_command(tmp_path, "-n", "2", "--reviewer", "anna"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        # One is accepted, the next refused; then back to change that to another defect.
        for shown, keys in (
            ("0 judged", "a"),
            ("y yes", "y"),
            ("1 judged", "x"),
            ("no key here", "b"),
            ("your verdict: accept, a research question", "n"),
            ("note (one line)", "too elsy\x7f\x7f\x7fasy\n"),
            ("? defects", "6"),
            ("refuse: leak", "\r"),
            ("y yes", "n"),
            ("1 judged", "q"),
        ):
            read_terminal(ours, shown)
            os.write(ours, keys.encode())
        printed = read_terminal(ours, "1 read")
        assert process.wait(_SECONDS) == 0
    os.close(ours)
    assert "stopped" in printed
    assert "accepted by readers: 0 of 1" in printed
    first, second = read_rows(tmp_path, "anna")
    assert (first["verdict"], first["note"]) == ("accept", "")
    assert (second["verdict"], second["note"]) == ("refuse", "too easy")


def read_terminal(terminal: int, words: str) -> str:
    printed = ""
    end = time.monotonic() + _SECONDS
    while words not in printed:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, f"{words!r} was never printed: {printed}"
        printed += os.read(terminal, 4096).decode()
    return printed


def test_rows_that_are_no_verdicts_are_named_and_the_others_kept(tmp_path: Path) -> None:
    write_reviewed_run(tmp_path, make_questions(8))
    ids = [question.task.task_id for question in draw_questions(make_questions(8), Draw(5, 7))]
    outside = ({question.task.task_id for question in make_questions(8)} - set(ids)).pop()
    lines = [
        "id,verdict,codes,research_question,note,remark",
        f'{ids[0]},accept,,yes,"over',
        'two lines",',
        f'{ids[1]},refuse,"B; wording",no,,seen',
        f"{ids[2]},refuse,,no,,",
        f"{ids[3]},maybe,,no,,",
        f"{outside},accept,,yes,,",
        f"{ids[4]},refuse,unheard_of,no,,",
        f"{ids[0]},refuse,F,no,,",
        f"{ids[5]},,,,,",
        f"{ids[6]},accept,yes",
    ]
    table = tmp_path / "bob.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    arguments = ("-n", "7", "--verdicts", str(table))
    status, printed = run_review(tmp_path, *arguments)
    assert status == 1
    assert "line 2: it names no reviewer" in printed
    status, printed = run_review(tmp_path, *arguments, "--reviewer", "Bob B.")
    assert status == 1
    for message in (
        f"{table} line 5: it refuses the question and names no defect",
        f"{table} line 6: the verdict 'maybe' is neither accept nor refuse",
        f"{table} line 7: {outside} is no question of this draw",
        f"{table} line 8: there is no defect 'unheard_of'",
        f"{table} line 9: line 2 has a verdict on {ids[0]} already",
        f"{table} line 11: it has more or fewer cells",
        "6 rows are not taken over",
        "2 verdicts taken over, 0 were there already, 1 rows have none yet",
        "nobody reads the columns remark",
    ):
        assert message in printed
    _, printed = run_review(tmp_path, *arguments, "--reviewer", "Bob B.")
    assert "0 verdicts taken over, 2 were there already" in printed
    assert "Traceback" not in printed
    rows = read_rows(tmp_path, "Bob B.")
    assert [(row["verdict"], row["codes"], row["note"]) for row in rows] == [
        ("accept", [], "over two lines"),
        ("refuse", ["not_unique", "wording"], ""),
    ]


def test_an_exported_file_is_filled_in_and_taken_over(tmp_path: Path) -> None:
    run = write_reviewed_run(tmp_path, make_questions(6))
    out = tmp_path / "fifty.jsonl"
    draw = ("-n", "4", "--seed", "9")
    status, printed = run_review(tmp_path, *draw, "--export", str(out))
    assert status == 0, printed
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(row["trace"]["trace"][1]["facts"] and row["answer"] == "FBN1" for row in rows)
    status, printed = run_review(tmp_path, *draw, "--export", str(out))
    assert status == 1
    assert "verdicts may be in it" in printed
    rows[0] |= {"verdict": "accept", "research_question": True}
    rows[1] |= {"verdict": "Refuse", "codes": ["C"], "note": "OMIM says otherwise"}
    rows[2] |= {"verdict": "accept", "content": "0123"}
    out.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"id": "q-1", \n')
    status, printed = run_review(tmp_path, *draw, "--verdicts", str(out), "--reviewer", "bob")
    assert status == 1
    assert "2 verdicts taken over, 0 were there already, 1 rows have none yet" in printed
    assert f"{out} line 3: {rows[2]['id']} has another text or answer now" in printed
    assert f"{out} line 5: the line is not JSON" in printed
    # Anna accepts what Bob refuses: together that is refused.
    run_review(tmp_path, *draw, "--reviewer", "anna", keys="ayayayay")
    _, printed = run_review(tmp_path, "--summary")
    assert "accepted by readers: 3 of 4" in printed
    assert "anna: accepted 4 of 4" in printed
    assert "bob: accepted 1 of 2" in printed
    # A text that has changed since was read by nobody.
    questions = make_questions(6)
    index = [question.task.task_id for question in questions].index(rows[1]["id"])
    task = replace(questions[index].task, text="Which gene is it?")
    questions[index] = replace(questions[index], task=task)
    set_results_aside(run, "questions")
    write_questions_stage(run, questions)
    _, printed = run_review(tmp_path, "--summary")
    assert "accepted by readers: 3 of 3" in printed
    assert "2 verdicts count nowhere" in printed
    # The one in its place is still to be read: what stayed is no fair sample of the new set.
    assert "are not shown yet: 1 of the questions drawn are not read" in printed
    assert "draw of seed 9, 4 of all: 3 of 4 read" in printed
    # Nothing that deletes earlier results deletes what readers said.
    for results in list_earlier_results(run):
        delete_earlier_results(results)
    assert len(read_rows(tmp_path, "bob")) == 2
    assert "accepted by readers: 3 of 3" in run_review(tmp_path, "--summary")[1]


def test_markdown_holds_every_question_with_its_evidence(tmp_path: Path) -> None:
    write_reviewed_run(tmp_path, make_questions(6))
    out = tmp_path / "questions.md"
    status, printed = run_review(tmp_path, "--export", str(out), "--split", "heldout")
    assert status == 0, printed
    assert "there are 2 questions, fewer than 50" in printed
    text = out.read_text()
    assert text.count("\n## ") == 2
    assert text.count("answer: FBN1") == 2
    assert text.count("FBN1 (disease-causing germline)") == 2


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    write_reviewed_run(tmp_path, make_questions(2))
    for arguments, message in (
        (("--reviewer", "../anna"), "cannot be a reader's name"),
        (("--verdicts", str(tmp_path / "none.csv"), "--reviewer", "a"), "does not exist"),
        (("--summary", "--export", "x.md"), "exclude each other"),
        (("--split", "dev"), "is train or heldout"),
    ):
        status, printed = run_review(tmp_path, *arguments)
        assert status != 0
        assert message in " ".join(printed.replace("│", " ").split())
        assert "Traceback" not in printed
    assert "nobody has read the questions of this run" in run_review(tmp_path, "--summary")[1]
