"""Ray job: the sft stage and what it needs. Arguments as for `medr sft run`."""

import sys

from medr_ray.cli.main import main

main(["sft", "run", *sys.argv[1:]])
