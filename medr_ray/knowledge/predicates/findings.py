"""Findings of a disease, as curated records count them and as abstracts report them."""

from medr_ray.knowledge.predicates.cue_words import (
    BE,
    DETERMINER,
    LEADS_TO,
    PATIENT_GROUP,
    PLAIN_WORD,
    UP_TO_TWO_WORDS,
)
from medr_ray.knowledge.predicates.declaration import (
    DISEASE,
    PHENOTYPE,
    Cue,
    Predicate,
    TurnLimit,
    invert_predicates,
)

_PRESENTS = "(?:presents?|presented|presenting|manifests?|manifested|manifesting)"
_SIGN = (
    "(?:symptoms?|signs?|features?|manifestations?|findings?|"
    "presentations?|complaints?|characteristics?|hallmarks?)"
)

_PRESENTATION_CUES = (
    Cue(
        rf",? (?:(?!who\b)\w+ )?{_PRESENTS} (?:\w+ )?(?:with|as|by)",
        0.85,
        subject_first=True,
        loose=0.7,
    ),
    Cue(
        rf",? (?:{BE} )?(?:\w+ )?characteri[sz]ed (?:\w+ )?by", 0.85, subject_first=True, loose=0.7
    ),
    Cue(
        f" (?:include[sd]?|including|{BE}|consist(?:s|ed)? of)",
        0.85,
        subject_first=True,
        before=f"{_SIGN} (?:of|in) {DETERMINER}{UP_TO_TWO_WORDS}",
    ),
    Cue(
        rf" (?:{BE}|as) {DETERMINER}(?:\w+ ){{0,3}}{_SIGN} (?:of|in)",
        0.9,
        subject_first=False,
    ),
    Cue(
        f" (?:{BE} )?(?:{PLAIN_WORD} )?(?:seen|observed|found|reported|common|frequent|"
        f"present) in {PATIENT_GROUP} (?:with|suffering from|affected by)",
        0.75,
        subject_first=False,
    ),
    # At the beginning: behind "gastrectomy for" the patients' disease is no cause of the sign.
    Cue(
        f" in {PATIENT_GROUP} (?:with|suffering from|affected by)",
        0.75,
        subject_first=False,
        before=rf"^(?:(?!COVID){PLAIN_WORD} ){{0,2}}",
    ),
    Cue(
        ",? (?:due|secondary|attributed|owing) to|,? (?:caused|produced) by",
        0.75,
        subject_first=False,
    ),
    Cue(",? (?:often |commonly |frequently )?associated with", 0.6, subject_first=True),
    Cue(
        f" {PATIENT_GROUP} (?:had|have|developed?|showed|exhibited|experienced?)",
        0.7,
        subject_first=True,
    ),
    Cue(rf",? (?:\w+ )?(?:causes|causing|produces|producing|{LEADS_TO})", 0.7, subject_first=True),
)

PREDICATES = (
    Predicate(
        name="has_finding",
        subject_type=DISEASE,
        object_type=PHENOTYPE,
        phrase="finding in {clinical}",
        inverse_phrase="disease in which {clinical} show",
        inverse_preposition="",
        clause="in which {clinical} show {other}",
        inverse_clause="that {clinical} with {other} show",
        record_rank=3,
        expansion_rank=14,
    ),
    Predicate(
        name="presents_with",
        subject_type=DISEASE,
        object_type=PHENOTYPE,
        phrase="sign reported",
        inverse_phrase="disease that presents",
        inverse_preposition="with",
        clause="that presents with {other}",
        inverse_clause="that is reported in {other}",
        record_rank=6,
        expansion_rank=7,
        assumed_when_tied=True,
        cues=_PRESENTATION_CUES,
    ),
)

_FINDINGS = ("has_finding", "presents_with")

TURN_LIMITS = (
    TurnLimit(
        into=_FINDINGS,
        out=invert_predicates(*_FINDINGS),
        at_most=1,
        reason="two diseases share a sign: one such link is a lead, a row is noise",
    ),
)
