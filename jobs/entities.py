"""Ray job: the entities stage, after what is missing before it. Arguments as for `medr entities
run`."""

import sys

from medr_ray.cli.main import main

main(["entities", "run", *sys.argv[1:]])
