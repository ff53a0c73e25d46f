"""Ray job: the questions stage and what it needs. Arguments as for `medr questions run`."""

import sys

from medr_ray.cli.main import main

main(["questions", "run", *sys.argv[1:]])
