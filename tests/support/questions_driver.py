"""The questions stage of the run in ROOT, in one process without Ray: ``questions_driver.py CONFIG
ROOT``."""

import sys
from pathlib import Path

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.without_ray import use_this_process

from medr_ray.core.run import StageContext, open_run, run_stage
from medr_ray.core.settings import load_config
from medr_ray.questions.stage import QUESTIONS_STAGE


def main(config_file: str, root: str) -> None:
    config = load_config(config_file, [f"run.root={root}"], environment={})
    run = open_run(config)
    context = StageContext(config, run, run.stage("questions"), Console())
    with pytest.MonkeyPatch.context() as patched:
        use_this_process(patched, "medr_ray.questions.stage")
        run_stage(QUESTIONS_STAGE, context, "same", dict.fromkeys(QUESTIONS_STAGE.needs, "same"))


if __name__ == "__main__":
    main(*sys.argv[1:])
