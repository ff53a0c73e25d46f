"""The report of a run: ``report.json`` with every figure, ``report.md`` and the terminal with the
same tables.

``write_report`` is called once the last stage has its manifest, so that its seconds are in the
report too. A figure stands in the report only if a finished stage wrote it; a run without some
stages gives a report without them.
"""

from medr_ray.evaluation.report.output import print_report, write_report

__all__ = ["print_report", "write_report"]
