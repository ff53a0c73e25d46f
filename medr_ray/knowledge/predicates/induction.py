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
    ChineseWording,
    Cue,
    Predicate,
    TurnLimit,
    invert_predicates,
)

_BRINGS_ON = (
    "(?:induce[sd]?|cause[sd]?|causing|produce[sd]?|provoke[sd]?|"
    "precipitate[sd]?|trigger(?:s|ed)?|elicit(?:s|ed)?)"
)
_BROUGHT_ON = "(?:induced|caused|provoked|precipitated|triggered|elicited|evoked)"
_ADVERSE_EFFECT = (
    "(?:complications?|side[- ]effects?|adverse (?:effects?|reactions?|events?)|toxicit(?:y|ies))"
)
_OBSERVED = "(?:seen|observed|noted|occurred|occurring|developed|reported)"

_INDUCTION_CUES = (
    Cue("[- ]induced", 0.9, subject_first=False, wording="compound"),
    Cue("[- ](?:related|associated)", 0.7, subject_first=False, wording="compound"),
    Cue(f",? (?:{BE} )?{ADVERB}{_BROUGHT_ON} by", 0.9, subject_first=True),
    Cue(",? (?:secondary|due|attributed|attributable) to", 0.8, subject_first=True),
    Cue(
        "(?<!patient)(?<!patients)(?<!cases) (?:associated with|following|after|during)",
        0.6,
        subject_first=True,
    ),
    Cue(f",? (?:{BE} )?(?:probably )?related to", 0.7, subject_first=True),
    Cue(
        f" (?:{BE} )?{ADVERB}(?:associated with|implicated in|responsible for|linked to)",
        0.7,
        subject_first=False,
    ),
    Cue(
        " (?:may |can )?(?:exacerbate[sd]?|aggravate[sd]?|worsen(?:s|ed)?|increase[sd]?|potentiate[sd]?|"
        "promote[sd]?|enhance[sd]?)",
        0.65,
        subject_first=False,
    ),
    Cue(
        f" (?:{BE}|include[sd]?|including|such as)",
        0.8,
        subject_first=False,
        before=f"{_ADVERSE_EFFECT} (?:of|to|associated with|with|from) {DETERMINER}{UP_TO_TWO_WORDS}",
    ),
    Cue(
        " (?:with|from|among|in)",
        0.65,
        subject_first=True,
        before=f"(?:risks?|incidence|rates?|frequency|development) of {DETERMINER}{UP_TO_TWO_WORDS}",
        after="(?: users?|[- ]treated|[- ](?:treatment|therapy|use|exposure))",
    ),
    Cue(
        "[- ]treated (?:rats|mice|patients|animals|group|subjects|children) (?:showed|developed|had|exhibited|displayed)",
        0.65,
        subject_first=False,
    ),
    Cue(f" (?:{BE}|as) {DETERMINER}(?:\\w+ )?risk factors? (?:for|of)", 0.7, subject_first=False),
    Cue(" in", 0.6, subject_first=True, after=" (?:users|abusers)"),
    Cue(
        rf",? (?:{BE} )?(?:\w+ )?{_OBSERVED} in (?:[\w%.-]+ ){{0,3}}{PATIENTS} (?:\w+ )?"
        "(?:treated with|receiving|taking|given|exposed to)",
        0.6,
        subject_first=True,
    ),
    Cue(f" (?:may |can |could )?(?:also )?(?:{_BRINGS_ON}|{LEADS_TO})", 0.75, subject_first=False),
    Cue(
        rf",? (?:{BE}|as) {DETERMINER}(?:\w+ ){{0,3}}{_ADVERSE_EFFECT} (?:of|to|associated "
        "with)",
        0.85,
        subject_first=True,
        loose=True,
    ),
)

PREDICATES = (
    Predicate(
        name="induced_by",
        subject_type=DISEASE,
        object_type=DRUG,
        phrase="drug that can induce",
        sentence="The drug that can induce {subject} is {object}.",
        preposition="",
        inverse_phrase="disease induced",
        inverse_preposition="by",
        clause="that {other} can induce",
        inverse_clause="that can induce {other}",
        chinese=ChineseWording(
            phrase="可诱发{known}的药物",
            inverse_phrase="由{known}诱发的{other}疾病",
            clause="可由{other}诱发",
            inverse_clause="可诱发{other}",
        ),
        record_rank=5,
        expansion_rank=5,
        cues=_INDUCTION_CUES,
    ),
    Predicate(
        name="sign_induced_by",
        subject_type=PHENOTYPE,
        object_type=DRUG,
        phrase="drug that can bring on",
        sentence="The drug that can bring on {subject} is {object}.",
        preposition="",
        inverse_phrase="sign brought on",
        inverse_preposition="by",
        clause="that {other} can bring on",
        inverse_clause="that can bring on {other}",
        chinese=ChineseWording(
            phrase="可引起{known}的药物",
            inverse_phrase="由{known}引起的{other}体征",
            clause="可由{other}引起",
            inverse_clause="可引起{other}",
        ),
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
