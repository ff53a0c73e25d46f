"""Ray job: the chains stage and what it needs. Arguments as for `medr chains run`."""

import sys

from medr_ray.cli.main import main

main(["chains", "run", *sys.argv[1:]])
