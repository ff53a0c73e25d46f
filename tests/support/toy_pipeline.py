"""A pipeline of two small stages, run as a process of its own: ``python toy_pipeline.py ROOT
[KEY=VALUE ...]``.

``numbers`` writes five parts, ``total`` adds them up. TOY_KILL="numbers:3" kills the process with
SIGKILL when part 3 is about to be written; TOY_LOG names a file that gets a line for every part
made; TOY_HOLD names a pipe that is opened, and so waited for, before the first part.
"""

import os
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.run import Counts, RunDirectory, Stage, StageContext
from medr_ray.core.settings import load_config
from medr_ray.pipeline import run_pipeline

PARTS = 5


def _log(line: str) -> None:
    if path := os.environ.get("TOY_LOG"):
        with open(path, "a", encoding="utf-8") as log:
            log.write(line + "\n")


def _die_at(point: str) -> None:
    if os.environ.get("TOY_KILL") == point:
        os.kill(os.getpid(), signal.SIGKILL)


def make_numbers(context: StageContext) -> Counts:
    if pipe := os.environ.get("TOY_HOLD"):
        with open(pipe, "w", encoding="utf-8") as held:
            held.write("holding")
        with open(pipe, encoding="utf-8") as released:
            released.read()
    for part in range(PARTS):
        name = f"parts/part-{part:05d}.json"
        if not context.directory.exists(name):
            _die_at(f"numbers:{part}")
            _log(f"numbers {part}")
            context.directory.write_json(name, part * context.config.graph.steps)
    return {"parts": PARTS}


def add_up(context: StageContext) -> Counts:
    numbers = context.upstream("numbers")
    _die_at("total:0")
    _log("total")
    total = sum(numbers.read_json(f"parts/{name}") for name in numbers.list_files("parts"))
    context.directory.write_json("total.json", total + context.config.chains.max_hops)
    return {"total": total}


def toy_stages(uses_ray: bool = False) -> list[Stage]:
    return [
        Stage("numbers", (), ("graph",), make_numbers, uses_ray=uses_ray),
        Stage("total", ("numbers",), ("chains",), add_up, uses_ray=False),
    ]


def toy_report(config: PipelineConfig, run: RunDirectory, console: Console) -> None:
    console.print(f"report: {run.stage('total').read_json('total.json')}")


def main(arguments: Sequence[str]) -> None:
    root, *overrides = arguments
    config = load_config(None, [f"run.root={root}", "run.name=toy", *overrides])
    run_pipeline(config, stages=toy_stages(), report=toy_report)


if __name__ == "__main__":
    main(sys.argv[1:])
