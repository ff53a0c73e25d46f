"""Names, tables and markup: time from 1,000 to 1,000,000 characters, whatever they hold.

Each row is the slowest of many texts, one piece repeated: hyphens, apostrophes, accents, Greek
letters, quotes, brackets of abbreviations, markup. A reader that starts anew at every quote or
bracket takes a hundred times longer for ten times the text.
"""

import io
from collections.abc import Callable, Iterable

from support.growth import measure_growth

from medr_ray.core.measurement import Measurement
from medr_ray.entities.matching import Matcher
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.name_normalization import fold_name, normalise
from medr_ray.knowledge.table_rows import peek_columns, read_rows
from medr_ray.retrieval.query_text import split_query

_NAMES = (
    *("Marfan syndrome, ", "a", " ", "-", "'", "s' ", "'s ", "β", "β2-", "beta-", "ß", "E\u0301"),
    *("haemo", "oesophago-", "angio-o", "大", "の", "a\u200b", "\u0301", "ﬁ", "Ａ", "İ", "("),
    *("(ABC) ", "antinuclear antibodies (ANAs) ", "[ABC] ", "Na+/", "type 1A/", "\U0001f9ec"),
)
_TABLES = (
    *("a\tb\n", '"a"\tb\n', 'a,"b\n', '"a,b\n', '"', '""', '",', "a,b\n", '"\n', '"a\n"b\n'),
    *(";", "|", "\n", "\r", "a\x00", "é;"),
)
_DELIMITERS = ("\t", ",", ";", "|")


def measure(quick: bool) -> Iterable[Measurement]:
    """A row for each reader: the slowest text of the largest size, and how its time grows."""
    diseases = list(load_hpo().diseases.values())[:2000]
    concepts = [
        Concept(disease.entity_id, disease.name, "disease", (normalise(disease.name),), "")
        for disease in diseases
    ]
    matcher = Matcher.build(concepts, 4)
    matcher.find_mentions("compiles the code")
    name_readers: dict[str, Callable[[str], object]] = {
        "names, stored": normalise,
        "names, folded": fold_name,
        "names, found in text": matcher.find_mentions,
        "queries, split": split_query,
    }
    for name, read in name_readers.items():
        yield measure_growth(name, read, _NAMES, quick)
    yield measure_growth("tables", _read_table, _TABLES, quick)


def _read_table(text: str) -> None:
    data = text.encode()
    peek_columns(io.BytesIO(data))
    for delimiter in _DELIMITERS:
        for width in (None, 2):
            for _ in read_rows(io.BytesIO(data), delimiter, lambda where, reason: None, width):
                pass
