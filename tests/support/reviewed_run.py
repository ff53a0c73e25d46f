"""A finished run of a dozen questions over the small graph, for readers to judge."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.questions import worded_question
from support.small_graph import MARFAN, small_graph

from medr_ray.core.records import Question
from medr_ray.core.run import RunDirectory
from medr_ray.graph.artifacts import ENTITIES, RELATIONS
from medr_ray.questions.artifacts import QUESTIONS

GRAPH = small_graph()
FINGERPRINT = "f" * 64


def make_questions(count: int) -> list[Question]:
    """Questions with texts of their own, all on what causes Marfan syndrome."""
    template = worded_question()
    step = replace(template.guidance[0], predicate="associated_gene", object_type="gene")
    return [
        replace(
            template,
            task=replace(
                template.task,
                task_id=f"q-{number:016x}",
                text=f"Which gene number {number} is associated with Marfan syndrome?",
                answer="FBN1",
            ),
            split="heldout" if number % 3 == 0 else "train",
            start=MARFAN,
            relations=("fbn1",),
            guidance=(step,),
        )
        for number in range(count)
    ]


def write_reviewed_run(root: Path, questions: Sequence[Question]) -> RunDirectory:
    """A run named "reviewed" whose questions stage is finished."""
    run = RunDirectory(str(root / "reviewed"))
    run.claim()
    write_questions_stage(run, questions)
    run.write(RELATIONS, GRAPH.relations.values())
    run.write(ENTITIES, GRAPH.entities.values())
    return run


def write_questions_stage(run: RunDirectory, questions: Sequence[Question]) -> None:
    stage = run.stage("questions")
    stage.prepare(FINGERPRINT)
    run.write(QUESTIONS, questions)
    manifest = {
        "format": 2,
        "stage": "questions",
        "fingerprint": FINGERPRINT,
        "inputs": {},
        "resumed": False,
        "counts": {"accepted": len(questions)},
        "seconds": 1.5,
        "versions": {},
        "files": stage.describe_files(),
    }
    stage.write_json("manifest.json", manifest)


def review_command(root: Path, *arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "medr_ray.cli.main", "questions", "review"),
        *("-c", str(write_config(root)), *arguments),
    ]


def write_config(root: Path) -> Path:
    path = root / "reviewed.yaml"
    path.write_text(f"run: {{root: {json.dumps(str(root))}, name: reviewed, seed: 5}}\n")
    return path


def start_review(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command as a process, with its keys on a pipe and its lines unbuffered."""
    return subprocess.Popen(
        review_command(root, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def run_review(root: Path, *arguments: str, keys: str = "") -> tuple[int, str]:
    """(exit status, all that it printed)."""
    with start_review(root, *arguments) as process:
        printed, errors = process.communicate(keys, timeout=120)
    return process.returncode, printed + errors


def run_medr(*arguments: str) -> str:
    """What a command prints, as a process that must succeed."""
    command = [sys.executable, "-m", "medr_ray.cli.main", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def read_rows(root: Path, reviewer: str) -> list[dict[str, Any]]:
    """The whole lines of a reader's file."""
    path = root / "reviewed" / "reviews" / "questions" / f"{reviewer}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
