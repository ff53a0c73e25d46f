"""Ray job: the facts stage and what it needs. Arguments as for `medr facts run`."""

import sys

from medr_ray.cli.main import main

main(["facts", "run", *sys.argv[1:]])
