"""Ray job: the sft stage, after what is missing before it. Arguments as for `medr sft run`."""

import sys

from medr_ray.cli.main import main

main(["sft", "run", *sys.argv[1:]])
