"""Ray job: the evaluation stage and what it needs. Arguments as for `medr evaluate run`."""

import sys

from medr_ray.cli.main import main

main(["evaluate", "run", *sys.argv[1:]])
