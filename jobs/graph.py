"""Ray job: the graph stage, after what is missing before it. Arguments as for `medr graph run`."""

import sys

from medr_ray.cli.main import main

main(["graph", "run", *sys.argv[1:]])
