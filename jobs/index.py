"""Ray job: the index stage and what it needs. Arguments as for `medr index run`."""

import sys

from medr_ray.cli.main import main

main(["index", "run", *sys.argv[1:]])
