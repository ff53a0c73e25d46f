"""Ray job: the entities stage and what it needs. Arguments as for `medr entities run`."""

import sys

from medr_ray.cli.main import main

main(["entities", "run", *sys.argv[1:]])
