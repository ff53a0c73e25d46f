"""Ray job: the grpo stage and what it needs. Arguments as for `medr grpo run`."""

import sys

from medr_ray.cli.main import main

main(["grpo", "run", *sys.argv[1:]])
