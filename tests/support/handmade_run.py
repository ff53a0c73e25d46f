"""A finished run written by hand: manifests, curves and 40 judged questions for three sets of
weights."""

from pathlib import Path

from support.questions import make_question

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import EvaluationResult, Usage
from medr_ray.core.run import Counts, RunDirectory, open_run
from medr_ray.core.settings import load_config
from medr_ray.evaluation.artifacts import RESULTS
from medr_ray.evaluation.summary import summarise
from medr_ray.questions import artifacts

QUESTIONS = [make_question(number, hops=1 + number % 2) for number in range(40)]
COUNTS: dict[str, Counts] = {
    "corpus": {"citations": 50783},
    "entities": {"rare": 900},
    "index": {"documents": 60000},
    "graph": {"relations": 4000},
    "chains": {"chains": 300},
    "questions": {"accepted": 400},
    "trajectories": {"accepted": 350},
    "sft": {"steps": 3},
    "grpo": {"updates": 2},
}


def results(right: dict[str, int], unscored: int = 0) -> dict[str, list[EvaluationResult]]:
    """The first ``right[name]`` of the questions answered correctly, the last ``unscored`` not
    scored."""

    def one(name: str, number: int) -> EvaluationResult:
        verdict = "correct" if number < right[name] else "incorrect"
        if number >= len(QUESTIONS) - unscored:
            verdict = "unscored"
        said = "Hepatitis B" if verdict == "correct" else "<b>no|thing</b>"
        return EvaluationResult(
            "heldout",
            name,
            QUESTIONS[number].task.task_id,
            0,
            said,
            verdict,
            "rules",
            "answered",
            Usage(100, 50, 2),
            1.5,
        )

    return {name: [one(name, number) for number in range(len(QUESTIONS))] for name in right}


def write_run(
    root: Path, right: dict[str, int], unscored: int = 0
) -> tuple[PipelineConfig, RunDirectory]:
    config = load_config(None, [f"run.root={root}", "run.name=handmade"])
    run = open_run(config)
    for name, counts in COUNTS.items():
        write_manifest(run, name, counts, 10.5)
    run.write(artifacts.QUESTIONS, QUESTIONS)
    run.stage("sft").write_jsonl("metrics.jsonl", [{"step": i, "loss": 3.0 - i} for i in range(3)])
    run.stage("grpo").write_jsonl(
        "metrics.jsonl",
        [
            {
                "update": i,
                "reward_mean": 0.3 + i / 10,
                "entropy": 0.5,
                "mismatch_kl": 0.001,
                "rollouts": 36,
            }
            for i in range(2)
        ],
    )
    run.stage("grpo").write_bytes("rollouts/update-00000.parquet", b"")
    judged = results(right, unscored)
    rows = [row for one in judged.values() for row in one]
    run.write(RESULTS, rows)
    tasks = [question.task for question in QUESTIONS]
    write_manifest(run, "evaluation", summarise(judged, {}, tasks, 0.95), 20.0)
    return config, run


def write_manifest(run: RunDirectory, stage: str, counts: Counts, seconds: float) -> None:
    run.stage(stage).write_json(
        "manifest.json",
        {
            "stage": stage,
            "fingerprint": "f",
            "inputs": {},
            "resumed": False,
            "counts": counts,
            "seconds": seconds,
            "versions": {"ray": "2.60.0"},
        },
    )
