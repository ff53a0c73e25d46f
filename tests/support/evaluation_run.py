"""A run that has finished everything the evaluation needs, in miniature."""

import io
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from support.questions import make_question
from support.run_manifest import write_manifest
from support.tiny_model import build_tiny_model

from medr_ray.core.run import StageContext, open_run
from medr_ray.core.settings import load_config
from medr_ray.questions.artifacts import QUESTIONS as QUESTIONS_FILE
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.index import COMMON_WORDS, DIMENSIONS, build_batch, build_table

QUESTIONS = [make_question(number, hops=1 + number % 2) for number in range(3)]


def make_context(root: Path, *overrides: str) -> StageContext:
    """The evaluation's context in the run below ``root``; tiny weights for base are made there."""
    base = root / "base"
    if not base.exists():
        build_tiny_model(base, context=2048)
    config = load_config(
        None,
        [
            f"run.root={root}",
            "run.name=small",
            f"models.policy={base}",
            "engine.dtype=float32",
            "engine.threads=1",
            "evaluation.weights=[base, sft]",
            "evaluation.concurrency=4",
            "agent.max_turn_tokens=16",
            "agent.prompt=short",
            "retrieval.mode=text",
            "index.embed=none",
            "rollouts.retries=0",
            *overrides,
        ],
    )
    run = open_run(config)
    return StageContext(config, run, run.stage("evaluation"), Console(file=io.StringIO()))


def fill_run(context: StageContext) -> None:
    """Weights for sft, the questions, and an index of one document."""
    run = context.run
    build_tiny_model(run.local / "sft" / "model", context=2048, seed=1)
    run.write(QUESTIONS_FILE, [*QUESTIONS, make_question(9, split="train")])
    document = Document(
        "HPO:OMIM:1", "hpo", "Thing 1", "Thing 1 is hepatitis B.", None, (), False, ""
    )
    build_table(
        run.stage("index"), [build_batch([document], None, DIMENSIONS)], context.config.index
    )
    words = pa.table({"word": pa.array([], pa.string()), "documents": pa.array([], pa.int64())})
    run.stage("index").write_table(COMMON_WORDS, words)
    write_manifest(run, "index", {"documents": 1}, 1.0)
