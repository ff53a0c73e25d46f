"""Ray job: the evaluation stage, after what is missing before it. Arguments as for `medr evaluate
run`."""

import sys

from medr_ray.cli.main import main

main(["evaluate", "run", *sys.argv[1:]])
