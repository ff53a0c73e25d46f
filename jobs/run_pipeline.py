"""Ray job: the whole pipeline. Arguments as for `medr run`."""

import sys

from medr_ray.cli.main import main

main(["run", *sys.argv[1:]])
