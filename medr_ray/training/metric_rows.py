"""What a row of training metrics is, on its way from the loop to its files and back.

A row is what a step of SFT or an update of GRPO came to. ``step_metrics.StepMetrics`` makes every
row finite as it takes it, and has the rows of a run; whoever reads them later does it by
``read_rows``.
"""

import math
from collections.abc import Mapping
from typing import Any

from medr_ray.core.json_text import parse_json

MetricRow = dict[str, Any]


def replace_infinite(value: Any) -> Any:
    """A row, or a value of one, with null for numbers that are not finite: JSON has none of
    these."""
    if isinstance(value, Mapping):
        return {field: replace_infinite(item) for field, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_rows(lines: bytes, source: str) -> list[MetricRow]:
    """The rows of a metrics file. ``source`` names it in the InvalidJson that this raises."""
    return [parse_json(line, source) for line in lines.splitlines() if line]
