"""Which drug can bring on which disease or sign."""

from medr_ray.knowledge.predicates.cue_words import (
    ADVERB,
    BE,
    DETERMINER,
    LEADS_TO,
    PATIENTS,
    UP_TO_TWO_WORDS,
)
from medr_ray.knowledge.predicates.declaration import (
    DISEASE,
    DRUG,
    PHENOTYPE,
    Cue,
    Predicate,
    TurnLimit,
    invert_predicates,
)

_BRINGS_ON = (
    "(?:induce[sd]?|cause[sd]?|causing|produce[sd]?|provoke[sd]?|"
    "precipitate[sd]?|trigger(?:s|ed)?|elicit(?:s|ed)?)"
)
_IS_REPORTED = (
    r"(?: (?:is|are|was|were|has been|have been) (?:\w+ly )?"
    "(?:reported|known|shown|found|demonstrated) to)?"
)
_BROUGHT_ON = "(?:induced|caused|provoked|precipitated|triggered|elicited|evoked)"
_ADVERSE_EFFECT = (
    "(?:complications?|side[- ]effects?|adverse (?:effects?|reactions?|events?)|toxicit(?:y|ies))"
)
_OBSERVED = "(?:seen|observed|noted|occurred|occurring|developed|reported)"

_INDUCTION_CUES = (
    # "A- and B-induced" has a hyphen behind both; "A and B-induced" may be A beside what B induced.
    Cue(
        "[- ]induced",
        0.95,
        subject_first=False,
        wording="compound",
        left_list=False,
        observed=(85, 89),
    ),
    Cue(
        "[- ](?:related|associated)", 0.62, subject_first=False, wording="compound", observed=(2, 4)
    ),
    Cue(f",? (?:{BE} )?{ADVERB}{_BROUGHT_ON} by", 0.9, subject_first=True, observed=(15, 16)),
    Cue(
        ",? (?:secondary|due|attributed|attributable) to",
        0.94,
        subject_first=True,
        observed=(12, 12),
    ),
    Cue(
        "(?<!patient)(?<!patients)(?<!cases) (?:associated with|following|after|during)",
        0.88,
        subject_first=True,
        observed=(18, 20),
    ),
    Cue(f",? (?:{BE} )?(?:probably )?related to", 0.75, subject_first=True),
    Cue(
        f" (?:{BE} )?{ADVERB}(?:associated with|implicated in|responsible for|linked to)"
        # A drug that goes with a lower risk does not bring the disease on.
        r"(?! (?:an? )?(?:\w+ )?(?:reduced|reduction|lower|decreased?|less|fewer|protection|"
        r"improve\w*|better|freedom|control)\b)",
        0.91,
        subject_first=False,
        observed=(7, 7),
    ),
    Cue(
        " (?:may |can )?(?:exacerbate[sd]?|aggravate[sd]?|worsen(?:s|ed)?|"
        "increase[sd]? the (?:risk|incidence|frequency|rate|severity) of)",
        0.86,
        subject_first=False,
        observed=(3, 3),
    ),
    Cue(
        f" (?:{BE}|include[sd]?|including|such as)",
        0.83,
        subject_first=False,
        before=f"{_ADVERSE_EFFECT} (?:of|to|associated with|with|from) "
        f"{DETERMINER}{UP_TO_TWO_WORDS}",
        observed=(2, 2),
    ),
    Cue(
        " (?:with|from|among|in)",
        0.75,
        subject_first=True,
        before="(?:risks?|incidence|rates?|frequency|development) of "
        f"{DETERMINER}{UP_TO_TWO_WORDS}",
        after="(?: users?|[- ]treated|[- ](?:treatment|therapy|use|exposure))",
    ),
    Cue(
        "[- ]treated (?:rats|mice|patients|animals|group|subjects|children) "
        "(?:showed|developed|had|exhibited|displayed)",
        0.8,
        subject_first=False,
        observed=(1, 1),
    ),
    Cue(" in", 0.75, subject_first=True, after=" (?:users|abusers)", observed=(3, 4)),
    Cue(
        rf",? (?:{BE} )?(?:\w+ )?{_OBSERVED} in (?:[\w%.-]+ ){{0,3}}{PATIENTS} (?:\w+ )?"
        "(?:treated with|receiving|taking|given|exposed to)",
        0.6,
        subject_first=True,
        observed=(0, 1),
    ),
    Cue(
        f"(?:,? (?:which|that))?{_IS_REPORTED} (?:may |can |could )?(?:also )?"
        f"(?:{_BRINGS_ON}|{LEADS_TO})",
        0.97,
        subject_first=False,
        observed=(29, 29),
    ),
    Cue(
        rf",? (?:{BE}|as) {DETERMINER}(?:\w+ ){{0,3}}{_ADVERSE_EFFECT} (?:of|to|associated "
        "with)",
        0.75,
        subject_first=True,
        loose=0.75,
    ),
)

PREDICATES = (
    Predicate(
        name="induced_by",
        subject_type=DISEASE,
        object_type=DRUG,
        phrase="drug that can induce",
        inverse_phrase="disease induced",
        inverse_preposition="by",
        clause="that {other} can induce",
        inverse_clause="that can induce {other}",
        record_rank=5,
        expansion_rank=5,
        cues=_INDUCTION_CUES,
    ),
    Predicate(
        name="sign_induced_by",
        subject_type=PHENOTYPE,
        object_type=DRUG,
        phrase="drug that can bring on",
        inverse_phrase="sign brought on",
        inverse_preposition="by",
        clause="that {other} can bring on",
        inverse_clause="that can bring on {other}",
        record_rank=10,
        expansion_rank=8,
        cues=_INDUCTION_CUES,
    ),
)

_INDUCED = ("induced_by", "sign_induced_by")

TURN_LIMITS = (
    TurnLimit(
        into=_INDUCED,
        out=invert_predicates(*_INDUCED),
        at_most=1,
        reason="one drug can bring on both: most have dozens of adverse effects",
    ),
)
