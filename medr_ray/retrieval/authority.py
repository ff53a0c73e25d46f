"""Clinical authority of a document, in [0, 1]: how much its kind of evidence counts (Auth of the paper's section 2.2).

The level follows from the MeSH publication types (unique identifiers) and is the highest that applies:

| level | kind of evidence |
| --- | --- |
| 1.00 | practice guideline, guideline, consensus conference |
| 0.95 | curated ontology record (HPO annotations) |
| 0.90 | systematic review, meta-analysis |
| 0.80 | randomised controlled trial, phase III or IV trial |
| 0.65 | controlled or other clinical trial |
| 0.55 | observational (cohort), multicentre, comparative or evaluation study |
| 0.40 | review, journal article of no further type |
| 0.25 | case report |
| 0.15 | preprint, historical article |
| 0.10 | opinion: editorial, letter, comment, news, interview, lecture, biography |
| 0.00 | retracted publication, notice of retraction, expression of concern |

A lower kind caps a plain article: a letter that is also a "Journal Article" stays at opinion. The order is the usual
hierarchy of evidence (OCEBM 2011); the numbers only space it out.
"""

from collections.abc import Collection

CURATED_SOURCES = frozenset({"hpo"})
CURATED = 0.95
PLAIN = 0.40

_STRONG: tuple[tuple[float, frozenset[str]], ...] = (
    (1.00, frozenset({"D017065", "D016431", "D016446", "D016447"})),
    (0.90, frozenset({"D000078182", "D017418"})),
    (0.80, frozenset({"D016449", "D017428", "D017429"})),
    (0.65, frozenset({"D018848", "D016430", "D017426", "D017427"})),
    (0.55, frozenset({"D064888", "D016448", "D003160", "D023362"})),
)
_WEAK: tuple[tuple[float, frozenset[str]], ...] = (
    (0.10, frozenset({"D016421", "D016422", "D016420", "D016433", "D017203", "D019531", "D019215"})),
    (0.15, frozenset({"D000076942", "D016456"})),
    (0.25, frozenset({"D002363"})),
)
_WITHDRAWN = frozenset({"D016441", "D016440", "D000075742"})


def authority(source: str, publication_types: Collection[str], retracted: bool) -> float:
    """The level of a document of ``source`` with these publication type UIs."""
    types = frozenset(publication_types)
    if retracted or types & _WITHDRAWN:
        return 0.0
    if source in CURATED_SOURCES:
        return CURATED
    for level, kinds in (*_STRONG, *_WEAK):
        if types & kinds:
            return level
    return PLAIN
