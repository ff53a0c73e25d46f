"""A finished run of a dozen questions on one fact, for readers to judge."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medr_ray.core.records import (
    Fact,
    FactEvidence,
    GuidanceStep,
    Question,
    QuestionStep,
    Task,
    Verification,
    question_metadata,
)
from medr_ray.core.run import RunDirectory
from medr_ray.graph.facts.artifacts import FACTS
from medr_ray.questions.artifacts import QUESTIONS

FINGERPRINT = "f" * 64
_EVIDENCE = FactEvidence("orphanet", "ORPHA:558", "GeneList", "FBN1 (disease-causing germline)")
FACT = Fact(
    "fact-1", "ORPHA:558", "associated_gene", "GENE:FBN1", None, "2021-03-01", (), _EVIDENCE
)
STEPS = (
    QuestionStep("named", (), "ORPHA:558", "disease", "Marfan syndrome"),
    QuestionStep("gene_of_disease", (0,), "GENE:FBN1", "gene", "FBN1", (FACT.fact_id,)),
)


def make_reviewed_question(number: int, text: str = "") -> Question:
    """A question on what causes Marfan syndrome, by default with a text of its own."""
    return Question(
        task=Task(
            task_id=f"q-{number:016x}",
            text=text or f"Which gene number {number} is associated with Marfan syndrome?",
            language="en",
            answer="FBN1",
            aliases=("fibrillin 1",),
            answer_type="gene",
            metadata=question_metadata("lookup", 1, "genetics", "disease_record"),
        ),
        shape="disease_record",
        skill="reads a record",
        paradigm="lookup",
        complexity=1,
        specialty="genetics",
        chain_id="",
        seed="ORPHA:558",
        split="heldout" if number % 3 == 0 else "train",
        sources=("orphanet",),
        steps=STEPS,
        guidance=(GuidanceStep("disease", "gene_of_disease", "gene"),),
        cheat_sheet="",
        entity_mapping=(),
        verification=Verification(True, True, True, True, True, True),
    )


def make_questions(count: int) -> list[Question]:
    """Questions with ids and texts of their own."""
    return [make_reviewed_question(number) for number in range(count)]


def write_reviewed_run(root: Path, questions: Sequence[Question]) -> RunDirectory:
    """A run named "reviewed" whose questions stage is finished."""
    run = RunDirectory(str(root / "reviewed"))
    run.claim()
    write_questions_stage(run, questions)
    run.stage("facts").write_part(FACTS, "part-0", [FACT])
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
