"""Relations between diseases: complications, and kinds of a broader disease."""

from medr_ray.knowledge.predicates.cue_words import BE, DETERMINER, LEADS_TO, PLAIN_WORD
from medr_ray.knowledge.predicates.declaration import (
    DISEASE,
    Cue,
    Predicate,
    TurnLimit,
    invert_predicates,
)

_FORM = "(?:forms?|types?|subtypes?|variants?|kinds?|subsets?)"
_SUCH_AS = r"(?:such as|including|like|e\.g\.,?|for example,?)"
_NOUN_PHRASE_END = r"\s*(?:$|[.,;:(]|that\b|which\b|characteri|caused|with\b|affecting|due\b)"

_COMPLICATION_CUES = (
    Cue(f",? (?:{BE} )?complicated (?:by|with)", 0.9, subject_first=True, loose=0.7),
    Cue(
        rf",? (?:\w+ )?(?:is|was|are|were|as|being) {DETERMINER}(?:\w+ "
        f"){{0,2}}complications? (?:of|in)",
        0.9,
        subject_first=False,
        loose=0.7,
    ),
    Cue(" complicating", 0.9, subject_first=False, loose=0.7),
    Cue(",? (?:due|secondary|owing|attributable) to|,? caused by", 0.75, subject_first=False),
    Cue(rf",? (?:\w+ )?(?:causes|causing|{LEADS_TO})", 0.7, subject_first=True),
)
_SUBTYPE_CUES = (
    Cue(
        rf",? (?:{BE} )?(?:an?|the|one) (?:[\w-]+ ){{0,4}}{_FORM} of",
        0.9,
        subject_first=True,
        wording="named",
    ),
    Cue(f",? {_SUCH_AS}", 0.75, subject_first=False, left="s", wording="compound", left_list=False),
    Cue(",? and other", 0.75, subject_first=True, wording="compound", right_list=False),
    Cue(f" is an? (?:{PLAIN_WORD} ){{0,4}}", 0.7, subject_first=True, after=_NOUN_PHRASE_END),
)

PREDICATES = (
    Predicate(
        name="complicated_by",
        subject_type=DISEASE,
        object_type=DISEASE,
        phrase="complication",
        inverse_phrase="disease complicated",
        inverse_preposition="by",
        clause="that is complicated by {other}",
        inverse_clause="that is a complication of {other}",
        record_rank=7,
        expansion_rank=6,
        cues=_COMPLICATION_CUES,
    ),
    Predicate(
        name="subtype_of",
        subject_type=DISEASE,
        object_type=DISEASE,
        phrase="broader disease",
        clause="that is a kind of {other}",
        inverse_clause="of which {other} is a kind",
        record_rank=8,
        expansion_rank=3,
        cues=_SUBTYPE_CUES,
    ),
)

_COMPLICATED = ("complicated_by",)
_BROADER = ("subtype_of",)

TURN_LIMITS = (
    TurnLimit(
        into=_COMPLICATED,
        out=invert_predicates(*_COMPLICATED),
        at_most=1,
        reason="two diseases share a complication: pneumonia complicates very many",
    ),
    TurnLimit(
        into=invert_predicates(*_COMPLICATED),
        out=_COMPLICATED,
        at_most=1,
        reason="two complications of one disease may have no more than it in common",
    ),
    TurnLimit(
        into=_BROADER,
        out=_BROADER,
        at_most=1,
        reason="two classes up, little is left that is true of the first alone",
    ),
    TurnLimit(
        into=_BROADER,
        out=invert_predicates(*_BROADER),
        at_most=0,
        reason="up and down again: two kinds of one class share no more than its name",
    ),
    TurnLimit(
        into=invert_predicates(*_BROADER),
        out=_BROADER,
        at_most=0,
        reason="down and up again: a disease is in several classes for many reasons",
    ),
)
