"""Ray job: the trajectories stage and what it needs. Arguments as for `medr trajectories run`."""

import sys

from medr_ray.cli.main import main

main(["trajectories", "run", *sys.argv[1:]])
