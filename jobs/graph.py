"""Ray job: the graph stage and what it needs. Arguments as for `medr graph run`."""

import sys

from medr_ray.cli.main import main

main(["graph", "run", *sys.argv[1:]])
