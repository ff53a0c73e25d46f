"""Ray job: the corpus stage, after what is missing before it. Arguments as for `medr corpus
run`."""

import sys

from medr_ray.cli.main import main

main(["corpus", "run", *sys.argv[1:]])
