"""Ray job: the corpus stage and what it needs. Arguments as for `medr corpus run`."""

import sys

from medr_ray.cli.main import main

main(["corpus", "run", *sys.argv[1:]])
