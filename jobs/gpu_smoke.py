"""Whether training runs on this machine's GPUs as it is planned: a JSON row for each check, in less
than ten minutes. ``--tiny`` runs all of it on the CPU, with a tiny model.

    python jobs/gpu_smoke.py > rows.jsonl

Exit 1 where a check failed; one that was skipped says why.
"""

import argparse
import json
import sys

from medr_ray.training.smoke.checks import CHECKS
from medr_ray.training.smoke.runner import run_checks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="on the CPU, with a tiny model")
    parser.add_argument(
        "--check",
        action="append",
        default=[],
        choices=[check.name for check in CHECKS],
        help="only this check; may be repeated",
    )
    arguments = parser.parse_args()
    has_failed = False
    for row in run_checks(arguments.tiny, arguments.check):
        print(json.dumps(row.to_json()), flush=True)
        has_failed |= row.ok is False
    sys.exit(1 if has_failed else 0)


if __name__ == "__main__":
    main()
