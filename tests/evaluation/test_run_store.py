"""The directory of an evaluation run: what is kept under which key, and that nothing is lost."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from support.evaluation_runs import GREEDY, TASKS, answer_all, plan_of, write_all
from support.waiting_environment import trajectory_of

from medr_ray.core.errors import DataError, LaterVersionError
from medr_ray.core.records import ENCRYPTED_KEY, MetadataItem
from medr_ray.core.run import Directory
from medr_ray.evaluation.report.answers import collect_evaluation_answers
from medr_ray.evaluation.runs import EvaluationRun, ScorerRecord
from medr_ray.evaluation.scorers.base import Score
from medr_ray.rollouts.worker import RolloutRequest


def files_of(root: Path) -> dict[str, bytes]:
    """The content of every answer and score."""
    folders = ("answers", "scores")
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        for path in sorted((root / folder).rglob("*.json"))
    }


def test_more_tasks_and_more_rollouts_leave_only_what_is_new_to_ask(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of(TASKS[:2]))
    assert answer_all(run) == 2
    kept = files_of(tmp_path)
    assert answer_all(EvaluationRun.plan_run(str(tmp_path), plan_of(TASKS))) == 2
    assert answer_all(EvaluationRun.plan_run(str(tmp_path), plan_of(TASKS, rollouts=3))) == 8
    assert answer_all(EvaluationRun.plan_run(str(tmp_path), plan_of(TASKS[:1]))) == 0
    assert answer_all(EvaluationRun.plan_run(str(tmp_path), plan_of(TASKS, rollouts=3))) == 0
    assert kept.items() <= files_of(tmp_path).items()


def test_other_sampling_or_another_agent_is_another_answer_and_another_name_is_not(
    tmp_path: Path,
) -> None:
    assert answer_all(EvaluationRun.plan_run(str(tmp_path), plan_of())) == 4
    warm = replace(GREEDY, sampling={"temperature": 1.0})
    assert answer_all(EvaluationRun.plan_run(str(tmp_path), plan_of(respondent=warm))) == 4
    agent = replace(GREEDY, agent={"tools": ["search"], "index": "a"})
    assert answer_all(EvaluationRun.plan_run(str(tmp_path), plan_of(respondent=agent))) == 4
    renamed = replace(GREEDY, name="another name")
    run = EvaluationRun.plan_run(str(tmp_path), plan_of(respondent=renamed))
    assert answer_all(run) == 0
    assert {answer.respondent for answer in run.answers()} == {"another name"}
    assert {answer.trajectory.mode for answer in run.answers()} == {"another name"}


def test_a_corrected_right_answer_is_scored_again_and_not_asked_again(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of())
    answer_all(run)
    for attempt in run.plan.list_attempts():
        run.keep_score("rules-1", attempt, Score("correct", 1.0))
    corrected = tuple(
        replace(task, answer="Other", task_id=f"new-{i}") for i, task in enumerate(TASKS)
    )
    again = EvaluationRun.plan_run(str(tmp_path), plan_of(corrected))
    assert again.list_pending() == []
    assert again.scores("rules-1") == {}
    assert [answer.trajectory.question_id for answer in again.answers()] == [
        task.task_id for task in corrected
    ]
    assert len(EvaluationRun.plan_run(str(tmp_path), plan_of()).scores("rules-1")) == 4


def test_what_was_planned_answered_and_scored_is_read_back(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path / "run"), plan_of(rollouts=2))
    answer_all(run)
    (first, *_) = run.plan.list_attempts()
    score = Score("correct", 1.0, "hepatitis b", "rules")
    run.keep_score("rules-1", first, score)
    run.record_scorers({"own": [ScorerRecord("rules-1", "rules")]})
    opened = EvaluationRun.open(str(tmp_path / "run"))
    assert opened.plan == run.plan
    assert [task.task for task in opened.tasks] == list(TASKS)
    assert [(answer.task, answer.rollout) for answer in opened.answers()] == [
        (task, rollout) for task in TASKS for rollout in range(2)
    ]
    assert opened.scores("rules-1") == {first.key: score}
    assert opened.scorers == {"own": (ScorerRecord("rules-1", "rules"),)}
    assert opened.list_scorers() == ["rules-1"]


def test_a_verdict_stays_and_what_is_unscored_gives_way(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of())
    attempt = next(run.plan.list_attempts())
    run.keep_score("llm-1", attempt, Score("unscored", None, reason="unreachable"))
    run.keep_score("llm-1", attempt, Score("correct", 1.0))
    run.keep_score("llm-1", attempt, Score("incorrect", 0.0))
    kept = run.read_score("llm-1", attempt)
    assert kept is not None
    assert kept.verdict == "correct"


def test_a_run_counts_its_answers_by_every_scorer_and_what_is_missing_as_unscored(
    tmp_path: Path,
) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of(rollouts=2))
    first, second, *_, lost = run.plan.list_attempts()
    run.keep_failure(lost, "model: no reply within 4 s")
    for attempt in run.list_pending()[:-1]:
        request = RolloutRequest(attempt.task, "m", attempt.rollout)
        run.keep_answer(attempt, trajectory_of(request), 1.5)
    run.keep_score("official-1", first, Score("correct", 1.0))
    run.keep_score("official-1", second, Score("incorrect", 0.0))
    for answer in run.answers():
        run.keep_score("rules-1", answer.attempt, Score("incorrect", 0.0))
    scorers = [ScorerRecord("official-1", "official", "j"), ScorerRecord("rules-1", "rules")]
    run.record_scorers({"own": scorers})
    official, rules = EvaluationRun.open(str(tmp_path)).figures()
    assert (official.scorer, official.judge, rules.scorer) == ("official", "j", "rules")
    (by_official,), (by_rules,) = official.models, rules.models
    assert (by_official.exact_match.value, by_official.exact_match.n) == (0.5, 1)
    assert (by_official.unscored, by_rules.unscored) == (6, 1)
    assert by_rules.stop_reasons == {"answered": 7, "infrastructure": 1}
    reasons = [answer.reason for answer in run.judged_answers("own", "official-1")]
    assert reasons[2] == "not scored"
    assert reasons[-1] == "model: no reply within 4 s"


def test_the_first_answer_stays(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of())
    answer_all(run)
    attempt = next(run.plan.list_attempts())
    before = run.read_answer(attempt)
    request = RolloutRequest(attempt.task, "m")
    run.keep_answer(attempt, replace(trajectory_of(request), answer="another"), 9.0)
    assert run.read_answer(attempt) == before


def test_why_an_attempt_has_no_answer_is_kept(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of())
    first, second, *_ = run.plan.list_attempts()
    run.keep_failure(first, "model: no reply within 4 s")
    assert run.read_failure(first) == "model: no reply within 4 s"
    assert run.read_failure(second) == "not answered"
    assert len(run.list_pending()) == 4


def test_a_damaged_answer_is_named_and_a_later_format_is_refused(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of())
    answer_all(run)
    attempt = next(run.plan.list_attempts())
    for damaged in ("", "[]", '{"format": 1}', '{"format": 1, "trajectory": {}, "seconds": 1}'):
        (tmp_path / "answers" / f"{attempt.key}.json").write_text(damaged)
        with pytest.raises(DataError, match=attempt.key):
            run.read_answer(attempt)
    description = run.directory.read_json("run.json")
    run.directory.write_json("run.json", {**description, "format": 99})
    with pytest.raises(LaterVersionError, match="format 99"):
        EvaluationRun.open(str(tmp_path))


def test_a_folder_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(DataError, match="is no evaluation run"):
        EvaluationRun.plan_run(str(tmp_path), plan_of())
    with pytest.raises(DataError, match="is no evaluation run"):
        EvaluationRun.open(str(tmp_path))
    (tmp_path / "run.json").write_text('{"format": 1, "made_by": "a pipeline"}')
    with pytest.raises(DataError, match="is no evaluation run"):
        EvaluationRun.plan_run(str(tmp_path), plan_of())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "thesis.tex"]


def test_texts_with_line_separators_of_unicode_come_back(tmp_path: Path) -> None:
    task = replace(TASKS[0], text="one\u2028two\x85three\nfour")
    EvaluationRun.plan_run(str(tmp_path), plan_of((task,)))
    assert EvaluationRun.open(str(tmp_path)).tasks[0].task == task


def test_a_run_lives_on_any_file_system(tmp_path: Path) -> None:
    inner = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    place = Directory("mock://bucket/run", inner, "bucket/run")
    run = EvaluationRun.plan_run(place, plan_of())
    answer_all(run)
    assert len(list(EvaluationRun.open(place).answers())) == 4


def test_several_processes_write_into_one_run(tmp_path: Path) -> None:
    run = EvaluationRun.plan_run(str(tmp_path), plan_of(rollouts=20))
    attempts = list(run.plan.list_attempts())
    context = multiprocessing.get_context("spawn")
    orders = (attempts, attempts[::-1], attempts[40:] + attempts[:40])
    writers = [context.Process(target=write_all, args=(str(tmp_path), order)) for order in orders]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    opened = EvaluationRun.open(str(tmp_path))
    assert len(list(opened.answers())) == 80
    assert len(opened.scores("rules-1")) == 80


def test_texts_of_an_encrypted_benchmark_are_in_no_file_of_a_run_and_in_no_report(
    tmp_path: Path,
) -> None:
    mark = MetadataItem(ENCRYPTED_KEY, "yes")
    tasks = tuple(
        replace(task, text=f"秘密 {number}?", answer=f"Geheim {number}", metadata=(mark,))
        for number, task in enumerate(TASKS)
    )
    run = EvaluationRun.plan_run(str(tmp_path), plan_of(tasks))
    answer_all(run)
    (first, *_) = run.plan.list_attempts()
    run.keep_score(
        "rules-1", first, Score("correct", 1.0, "Geheim 0", reason="秘密 0? is Geheim 0")
    )
    run.record_scorers({"own": [ScorerRecord("rules-1", "rules")]})
    written = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.json*")]
    assert len(written) == 3 + len(tasks)
    assert not [text for text in written if "秘密" in text or "Geheim" in text or "u79d8" in text]
    opened = EvaluationRun.open(str(tmp_path))
    assert [row.task for row in opened.tasks] == list(tasks)
    assert [answer.trajectory for answer in opened.answers()] == [
        answer.trajectory for answer in run.answers()
    ]
    assert opened.scores("rules-1")[first.key].extracted == "Geheim 0"
    assert "秘密" not in repr(opened.tasks)
    shown = collect_evaluation_answers(opened)
    assert len(shown) == len(tasks)
    assert "秘密" not in repr(shown)
    assert "Geheim" not in repr(shown)
    assert shown[0].scores[0].verdict == "correct"
