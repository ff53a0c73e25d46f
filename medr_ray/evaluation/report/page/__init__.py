"""The report as a page for a browser: one HTML file that loads nothing from anywhere.

The page holds the figures, tables and answers as JSON, every trajectory deflated, and the scripts
and styles beside this module. Above ``files.MOST_BYTES`` of trajectories they lie in files of
their own, in a folder. Whatever a model or a document wrote is data in the page, never HTML.
"""

from medr_ray.evaluation.report.page.content import PageContent, build_headline, build_run_page
from medr_ray.evaluation.report.page.files import write_page

__all__ = ["PageContent", "build_headline", "build_run_page", "write_page"]
