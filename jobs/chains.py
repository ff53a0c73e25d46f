"""Ray job: the chains stage, after what is missing before it. Arguments as for `medr chains
run`."""

import sys

from medr_ray.cli.main import main

main(["chains", "run", *sys.argv[1:]])
