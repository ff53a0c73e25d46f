"""The trajectories stage of a run on a Ray of its own: ``trajectories_driver.py CONFIG [rewrite]``.

With ``rewrite`` every rollout is finished, and no Ray is started.
"""

import contextlib
import sys

import ray
from rich.console import Console

from medr_ray.core.run import StageContext, open_run, run_stage
from medr_ray.core.settings import load_config
from medr_ray.trajectories.stage import TRAJECTORIES_STAGE


def main(config_file: str, part: str = "") -> None:
    config = load_config(config_file, (), environment={})
    run = open_run(config)
    context = StageContext(config, run, run.stage("trajectories"), Console())
    with contextlib.ExitStack() as stack:
        if part != "rewrite":
            own_ray = ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
            stack.enter_context(own_ray)
        marks = dict.fromkeys(TRAJECTORIES_STAGE.needs, "same")
        run_stage(TRAJECTORIES_STAGE, context, "same", marks)


if __name__ == "__main__":
    main(*sys.argv[1:])
