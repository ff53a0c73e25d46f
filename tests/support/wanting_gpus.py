"""The GRPO stage with tiny models on a private Ray instance with as many logical GPUs as the first
argument says, in a process of its own; further arguments are overrides. Prints as JSON the error
that ends it and the seconds it took."""

import json
import sys
import tempfile
import time
from pathlib import Path

import ray
from support.evaluation_run import fill_run, make_context

from medr_ray.core.errors import MedrError
from medr_ray.core.run import StageContext
from medr_ray.training.grpo_stage import execute_grpo


def main() -> None:
    gpus, *overrides = sys.argv[1:]
    ray.init("local", num_cpus=32, num_gpus=int(gpus), include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        context = make_context(Path(folder), *overrides)
        fill_run(context)
        directory = context.run.stage("grpo")
        started = time.monotonic()
        message = ""
        try:
            execute_grpo(StageContext(context.config, context.run, directory, context.console))
        except MedrError as error:
            message = str(error)
        report = {"message": message, "seconds": time.monotonic() - started}
    ray.shutdown()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
