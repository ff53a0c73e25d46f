"""At what age diseases begin: Orphadata product 9, "epidemiological data: natural history" (CC BY
4.0).

Orphanet names periods of life. Their bounds are those of its documentation
(https://www.orphadata.com/docs/OrphadataFreeAccessProductsDescription.pdf). A disorder spans from
the beginning of its first period to the end of its last.
"""

from medr_ray.knowledge.registries.orphanet_records import read_onset_periods
from medr_ray.knowledge.vocabulary_reading import (
    VocabularyReport,
    open_vocabulary,
    read_elements,
    text_of,
)

# (first, last) age in years, before birth negative.
_PERIODS: dict[str, tuple[float, float]] = {
    "Antenatal": (-0.77, 0.0),
    "Neonatal": (0.0, 0.077),
    "Infancy": (0.077, 2.0),
    "Childhood": (2.0, 12.0),
    "Adolescent": (12.0, 19.0),
    "Adult": (19.0, 65.0),
    "Elderly": (65.0, 120.0),
    "All ages": (-0.77, 120.0),
}
_EXPECTED = "the XML of Orphadata product 9, natural history (ages)"


def read_onset_ages(path: str) -> dict[str, tuple[float, float]]:
    """(earliest, latest) age at onset in years by "ORPHA:<number>", from plain XML or gzip at a
    path or a URI.

    Raises DataError when the file is missing, damaged, another product, or has an unknown period.
    An unknown period stops the reading: without it, the span would be wrong.
    """
    report = VocabularyReport(path)
    ages: dict[str, tuple[float, float]] = {}
    with open_vocabulary(path) as stream:
        for where, disorder in read_elements(stream, report, ("Disorder",), _EXPECTED):
            labels = read_onset_periods(disorder)
            unknown = [label for label in labels if label not in _PERIODS]
            if unknown:
                raise report.build_format_error(
                    _EXPECTED, f"{where}: AverageAgeOfOnset {unknown[0]!r}"
                )
            if labels:
                spans = [_PERIODS[label] for label in labels]
                earliest = min(low for low, _ in spans)
                latest = max(high for _, high in spans)
                ages[f"ORPHA:{text_of(disorder, 'OrphaCode')}"] = (earliest, latest)
    if not ages:
        raise report.build_format_error(_EXPECTED, "no <AverageAgeOfOnset>")
    return ages
