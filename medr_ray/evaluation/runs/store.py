"""The directory of an evaluation run.

- ``run.json``: what was asked of whom (the last plan), and who scored it.
- ``tasks/<digest>.jsonl``: the tasks of a benchmark as they were asked.
- ``answers/<key>.json``: what came of an attempt (see ``records`` for keys).
- ``failures/<key>.json``: why infrastructure left an attempt without an answer, the last time.
- ``scores/<scorer identity>/<score key>.json``: a scorer's score of an answer.

Every file appears whole or not at all, and its name says what it is made from, so that several
processes may write into one run: at worst the same answer is written twice. An answer is never
replaced. A score is replaced only where it was "unscored". Plans before the last one stay readable
by their answers: a run that is asked for less, or of others, loses nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from medr_ray.core.errors import DataError, LaterVersionError
from medr_ray.core.json_text import parse_json
from medr_ray.core.parts import digest
from medr_ray.core.records import EvaluationResult, Task, Trajectory, Usage, from_row
from medr_ray.core.run import Directory
from medr_ray.evaluation.benchmarks.base import BenchmarkTask
from medr_ray.evaluation.figures import BenchmarkFigures, JudgedAnswer, compute_figures
from medr_ray.evaluation.runs.records import (
    Answer,
    AskedBenchmark,
    Attempt,
    Respondent,
    RunPlan,
    ScorerRecord,
)
from medr_ray.evaluation.runs.secret_texts import open_row, seal_row
from medr_ray.evaluation.scorers.base import UNSCORED, Score

RUN_FILE = "run.json"
_FORMAT = 1  # of run.json, answers and scores
_TASKS = "tasks"
_ANSWERS = "answers"
_FAILURES = "failures"
_SCORES = "scores"
_NO_USAGE = Usage(0, 0, 0)


class EvaluationRun:
    """A run in ``directory``. ``open`` reads one that exists, ``plan_run`` begins or changes one.

    ``scorers`` are those of the last scoring, by benchmark, the official one first.
    """

    def __init__(
        self,
        directory: Directory,
        plan: RunPlan,
        scorers: Mapping[str, Sequence[ScorerRecord]],
    ) -> None:
        self.directory = directory
        self.plan = plan
        self.scorers = {name: tuple(records) for name, records in scorers.items()}

    @classmethod
    def open(cls, place: str | Directory) -> "EvaluationRun":
        """The run in a directory.

        Raises DataError where there is none, and LaterVersionError where a later version of this
        package wrote it.
        """
        directory = Directory(place) if isinstance(place, str) else place
        if not directory.exists(RUN_FILE):
            raise DataError(f"{directory.uri} is no evaluation run: it has no {RUN_FILE}")
        description = directory.read_json(RUN_FILE)
        try:
            _require_known_format(description, f"{directory.uri}/{RUN_FILE}")
            return cls(
                directory, _read_plan(directory, description), _read_scorers(description["scorers"])
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{directory.uri}/{RUN_FILE} is no evaluation run ({type(error).__name__}: {error})"
            ) from None

    @classmethod
    def plan_run(cls, place: str | Directory, plan: RunPlan) -> "EvaluationRun":
        """The run in a directory with this plan in place of the last one. Answers and scores stay.

        Raises DataError, and changes nothing, for a directory that holds something else.
        """
        directory = Directory(place) if isinstance(place, str) else place
        scorers: Mapping[str, Sequence[ScorerRecord]] = {}
        if directory.exists(RUN_FILE):
            scorers = cls.open(directory).scorers
        elif directory.list_files() or directory.list_folders():
            raise DataError(
                f"{directory.uri} exists and is no evaluation run: choose another folder, or an "
                "empty one"
            )
        run = cls(directory, plan, scorers)
        run._write_description()
        return run

    # --- what was asked -----------------------------------------------------------------

    @property
    def tasks(self) -> tuple[BenchmarkTask, ...]:
        """Every task of the plan with its benchmark."""
        return tuple(
            BenchmarkTask(benchmark.name, task)
            for benchmark in self.plan.benchmarks
            for task in benchmark.tasks
        )

    def list_pending(self) -> list[Attempt]:
        """The attempts of the plan without an answer, each question once."""
        answered = self._list_keys(_ANSWERS)
        pending = {
            attempt.key: attempt
            for attempt in self.plan.list_attempts()
            if attempt.key not in answered
        }
        return list(pending.values())

    # --- answers ------------------------------------------------------------------------

    def answers(self) -> Iterator[Answer]:
        """The answers of the plan, in its order."""
        answered = self._list_keys(_ANSWERS)
        for attempt in self.plan.list_attempts():
            if attempt.key in answered:
                yield self.read_answer(attempt)

    def has_answer(self, attempt: Attempt) -> bool:
        return self.directory.exists(_name_answer(attempt.key))

    def read_answer(self, attempt: Attempt) -> Answer:
        """The answer of an attempt. Raises DataError where there is none, or it is damaged."""
        name = _name_answer(attempt.key)
        row = self._read_row(name)
        try:
            trajectory = from_row(Trajectory, row["trajectory"])
            seconds = float(row["seconds"])
        except (DataError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._explain_damage(name, error) from None
        # Its question may have been asked under another benchmark and id.
        trajectory = replace(
            trajectory, question_id=attempt.task.task_id, mode=attempt.respondent.name
        )
        return Answer(attempt, trajectory, seconds)

    def keep_answer(self, attempt: Attempt, trajectory: Trajectory, seconds: float) -> None:
        """Keep the answer of an attempt, unless it has one: the first stays."""
        if self.has_answer(attempt):
            return
        row = {
            "format": _FORMAT,
            "question": attempt.task.text,
            "respondent": {
                "name": attempt.respondent.name,
                "endpoint": attempt.respondent.endpoint,
                "model": attempt.respondent.model,
                "identity": attempt.respondent.identity,
            },
            "rollout": attempt.rollout,
            "trajectory": asdict(trajectory),
            "seconds": round(seconds, 3),
        }
        self._write_row(_name_answer(attempt.key), row, attempt.task)

    def keep_failure(self, attempt: Attempt, reason: str) -> None:
        """Keep why infrastructure left an attempt without an answer."""
        row = {"format": _FORMAT, "reason": reason}
        self.directory.write_json(f"{_FAILURES}/{attempt.key}.json", row)

    def read_failure(self, attempt: Attempt) -> str:
        """Why an attempt has no answer; "not answered" where it was not tried."""
        name = f"{_FAILURES}/{attempt.key}.json"
        if not self.directory.exists(name):
            return "not answered"
        return str(self._read_row(name).get("reason", ""))

    # --- scores -------------------------------------------------------------------------

    def list_scorers(self) -> list[str]:
        """The identities of all scorers that have scored anything in this directory."""
        return self.directory.list_folders(_SCORES)

    def scores(self, scorer: str) -> dict[str, Score]:
        """The scores of the plan's answers by the scorer of this identity, by the answer's key.

        Where one question stands in two benchmarks with different right answers, the keys are not
        enough: use ``read_score``.
        """
        present = self._list_keys(f"{_SCORES}/{scorer}")
        return {
            attempt.key: self._read_score(scorer, attempt)
            for attempt in self.plan.list_attempts()
            if attempt.score_key in present
        }

    def read_score(self, scorer: str, attempt: Attempt) -> Score | None:
        """A scorer's score of an attempt's answer; None where it has not scored it."""
        if not self.directory.exists(_name_score(scorer, attempt)):
            return None
        return self._read_score(scorer, attempt)

    def keep_score(self, scorer: str, attempt: Attempt, score: Score) -> None:
        """Keep a score. A verdict stays; what is unscored gives way to it."""
        kept = self.read_score(scorer, attempt)
        if kept is not None and kept.verdict != UNSCORED:
            return
        row = {"format": _FORMAT, **asdict(score)}
        self._write_row(_name_score(scorer, attempt), row, attempt.task)

    def record_scorers(self, scorers: Mapping[str, Sequence[ScorerRecord]]) -> None:
        """Make these the scorers of the run, by benchmark, the official one first. Scores of others
        stay."""
        self.scorers = {**self.scorers, **{name: tuple(rows) for name, rows in scorers.items()}}
        self._write_description()

    def _read_score(self, scorer: str, attempt: Attempt) -> Score:
        name = _name_score(scorer, attempt)
        row = self._read_row(name)
        try:
            return from_row(Score, row)
        except (DataError, TypeError) as error:
            raise self._explain_damage(name, error) from None

    # --- figures ------------------------------------------------------------------------

    def judged_answers(self, benchmark: str, scorer: str) -> list[JudgedAnswer]:
        """Every attempt at a benchmark in the order of the plan, as the scorer of this identity
        judged it. What was not answered or not scored is unscored, with the reason."""
        answered = self._list_keys(_ANSWERS)
        return [
            self._judge_answer(attempt, scorer, attempt.key in answered)
            for attempt in self.plan.list_attempts()
            if attempt.benchmark == benchmark
        ]

    def figures(self) -> tuple[BenchmarkFigures, ...]:
        """The figures of every benchmark by every scorer of the last scoring, the official one
        first."""
        names = [respondent.name for respondent in self.plan.respondents]
        return tuple(
            compute_figures(
                benchmark,
                benchmark.tasks,
                self.judged_answers(benchmark.name, scorer.identity),
                names,
                self.plan.confidence,
                scorer.name,
                scorer.judge,
            )
            for benchmark in self.plan.benchmarks
            for scorer in self.scorers.get(benchmark.name, ())
        )

    def _judge_answer(self, attempt: Attempt, scorer: str, is_answered: bool) -> JudgedAnswer:
        if not is_answered:
            result = _build_result(attempt, None, Score(UNSCORED))
            return JudgedAnswer(result, None, self.read_failure(attempt))
        answer = self.read_answer(attempt)
        score = self.read_score(scorer, attempt) or Score(UNSCORED, reason="not scored")
        result = _build_result(attempt, answer, score)
        return JudgedAnswer(result, answer.trajectory, score.reason, score.extracted, score.value)

    # --- files --------------------------------------------------------------------------

    def _list_keys(self, folder: str) -> frozenset[str]:
        names = self.directory.list_files(folder)
        return frozenset(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def _write_row(self, name: str, row: Mapping[str, Any], task: Task) -> None:
        self.directory.write_json(name, seal_row(row) if task.is_secret else row)

    def _read_row(self, name: str) -> dict[str, Any]:
        try:
            row = open_row(self.directory.read_json(name))
        except DataError as error:
            raise self._explain_damage(name, error) from None
        if not isinstance(row, dict):
            raise self._explain_damage(name, TypeError("not an object"))
        _require_known_format(row, f"{self.directory.uri}/{name}")
        return row

    def _explain_damage(self, name: str, error: Exception) -> DataError:
        return DataError(
            f"{self.directory.uri}/{name} is damaged ({error}): move it elsewhere, and it is made "
            "anew by the same command"
        )

    def _write_description(self) -> None:
        description = {
            "format": _FORMAT,
            "benchmarks": [self._keep_tasks(benchmark) for benchmark in self.plan.benchmarks],
            "respondents": [asdict(respondent) for respondent in self.plan.respondents],
            "rollouts": self.plan.rollouts,
            "confidence": self.plan.confidence,
            "scorers": {
                name: [asdict(record) for record in records]
                for name, records in self.scorers.items()
            },
            "request": dict(self.plan.request),
        }
        self.directory.write_json(RUN_FILE, description)

    def _keep_tasks(self, benchmark: AskedBenchmark) -> dict[str, Any]:
        """Keep the tasks of a benchmark; returns its entry in the description."""
        rows = [asdict(task) for task in benchmark.tasks]
        name = f"{_TASKS}/{digest(rows)}.jsonl"
        # Before the description that names it.
        if not self.directory.exists(name):
            pairs = zip(benchmark.tasks, rows, strict=True)
            written = [seal_row(row) if task.is_secret else row for task, row in pairs]
            self.directory.write_jsonl(name, written)
        return {
            "name": benchmark.name,
            "title": benchmark.title,
            "slices": list(benchmark.slices),
            "source": benchmark.source,
            "tasks": name,
            "count": len(rows),
        }


def _build_result(attempt: Attempt, answer: Answer | None, score: Score) -> EvaluationResult:
    """The row of an attempt in the evaluation's table. Without an answer it is never incorrect:
    infrastructure failed, not the model."""
    trajectory = answer.trajectory if answer else None
    return EvaluationResult(
        benchmark=attempt.benchmark,
        model=attempt.respondent.name,
        task_id=attempt.task.task_id,
        rollout=attempt.rollout,
        prediction=trajectory.answer if trajectory else None,
        verdict=score.verdict,
        judge=score.judge or score.scorer,
        stop_reason=trajectory.stop_reason if trajectory else "infrastructure",
        usage=trajectory.usage if trajectory else _NO_USAGE,
        seconds=answer.seconds if answer else 0.0,
    )


def _name_answer(key: str) -> str:
    return f"{_ANSWERS}/{key}.json"


def _name_score(scorer: str, attempt: Attempt) -> str:
    return f"{_SCORES}/{scorer}/{attempt.score_key}.json"


def _read_plan(directory: Directory, description: Mapping[str, Any]) -> RunPlan:
    benchmarks = [
        AskedBenchmark(
            entry["name"],
            entry["title"],
            tuple(entry["slices"]),
            entry["source"],
            _read_tasks(directory, entry["tasks"]),
        )
        for entry in description["benchmarks"]
    ]
    return RunPlan(
        tuple(benchmarks),
        tuple(Respondent(**row) for row in description["respondents"]),
        description["rollouts"],
        description["confidence"],
        description["request"],
    )


def _read_tasks(directory: Directory, name: str) -> tuple[Task, ...]:
    # Not ``splitlines``, which also splits at characters that stand within texts.
    lines = directory.read_bytes(name).decode("utf-8").rstrip("\n").split("\n")
    place = f"{directory.uri}/{name}"
    return tuple(from_row(Task, open_row(parse_json(line, place))) for line in lines if line)


def _read_scorers(rows: Mapping[str, Any]) -> dict[str, list[ScorerRecord]]:
    return {name: [ScorerRecord(**row) for row in records] for name, records in rows.items()}


def _require_known_format(row: Mapping[str, Any], name: str) -> None:
    number = row.get("format")
    if isinstance(number, int) and number > _FORMAT:
        raise LaterVersionError(
            f"{name} is of a later version of medr_ray (format {number}, this version knows "
            f"{_FORMAT}): use that version"
        )
