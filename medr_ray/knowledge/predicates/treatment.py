"""Which drug is used against which disease or sign."""

from medr_ray.knowledge.predicates.cue_words import (
    ADVERB,
    BE,
    DETERMINER,
    PATIENT_GROUP,
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

_TREATMENT = "(?:treatment|management|therapy|prophylaxis|prevention|control)"
_EASES = (
    "(?:treats?|improve[sd]?|relieve[sd]?|attenuate[sd]?|suppress(?:es|ed)?|inhibit(?:s|ed)?|"
    "counteract(?:s|ed)?|block(?:s|ed)?|decrease[sd]?|halt(?:s|ed)?|delay(?:s|ed)?|"
    "control(?:s|led)?|"
    "ameliorate[sd]?|alleviate[sd]?|prevent(?:s|ed)?|reverse[sd]?|"
    "abolish(?:es|ed)?|protect(?:s|ed)? against|reduce[sd]?)"
)
_EASING = (
    "(?:treating|preventing|antagoni[sz]ing|attenuating|ameliorating|reducing|reversing|"
    "alleviating|"
    "controlling|relieving|suppressing|improving)"
)
_EASED_BY = (
    r"(?:respond(?:s|ed|ing)? (?:\w+ )?to|responsive to|improved (?:\w+ "
    r")?(?:with|on|after|by)|resolved (?:\w+ )?(?:with|on|after)|(?:relieved|"
    "reversed|prevented|ameliorated|alleviated|abolished|attenuated|reduced|suppressed|inhibited|"
    "decreased|blocked|corrected|controlled|counteracted) (?:by|with))"
)

_TREATMENT_CUES = (
    Cue(
        rf" (?:for|in) {DETERMINER}(?:\w+ )?{_TREATMENT} of",
        0.8,
        subject_first=False,
        wording="named",
        loose=0.83,
        observed=(1, 1),
        observed_loose=(2, 2),
    ),
    Cue(
        " (?:treatment|therapy) (?:of|for)",
        0.89,
        subject_first=False,
        wording="named",
        loose=0.88,
        observed=(5, 5),
        observed_loose=(4, 4),
    ),
    Cue(
        rf"(?:,| {BE})? {ADVERB}(?:treated|managed|controlled) (?:\w+ )?(?:with|by|using)",
        0.92,
        subject_first=True,
        wording="named",
        loose=0.86,
        left_list=False,
        observed=(8, 8),
        observed_loose=(3, 3),
    ),
    Cue(
        " (?:with|by|using)",
        0.83,
        subject_first=True,
        before=f"{_TREATMENT} of {DETERMINER}{UP_TO_TWO_WORDS}",
        wording="named",
        observed=(2, 2),
    ),
    Cue(f"(?:,| {BE})? {ADVERB}{_EASED_BY}", 0.83, subject_first=True, loose=0.75, observed=(2, 2)),
    Cue(
        " (?:on|against|in)",
        0.91,
        subject_first=False,
        before=r"(?:[\w-]*protective|beneficial|therapeutic|inhibitory|ameliorat\w+|preventive|"
        r"curative|"
        r"anti-?\w+) (?:effects?|roles?|potential|actions?|efficacy) of (?:[\w-]+ ){0,3}",
        observed=(7, 7),
    ),
    Cue(
        " (?:by|with|using)",
        0.75,
        subject_first=True,
        before=f"(?:prevention|protection|attenuation|reduction|reversal|amelioration|improvement|"
        f"inhibition|suppression) (?:of|against|from|in) {DETERMINER}{UP_TO_TWO_WORDS}",
    ),
    Cue(
        f" (?:treatment|therapy|monotherapy) (?:in|of) (?:{PATIENT_GROUP} with)?",
        0.5,
        subject_first=False,
        wording="named",
        observed=(0, 0),
    ),
    Cue(
        " (?:protects?|protected|protection|protective) (?:\\w+ )?(?:against|from)",
        0.75,
        subject_first=False,
        loose=0.75,
        observed=(0, 0),
    ),
    Cue(
        rf" {BE} (?:\w+ )?(?:effective|useful|successful|beneficial|efficacious|helpful|"
        f"active) (?:in|for|against)(?! (?:the |an? )?(?:diagnos|detect|predict|assess|screening|"
        f"differentiat|distinguish|monitor|localis|localiz))(?: the {_TREATMENT} of| treating)?",
        0.91,
        subject_first=False,
        loose=0.75,
        observed=(7, 7),
    ),
    Cue(
        f" {BE} {ADVERB}(?:used|indicated|approved|given|administered|"
        "prescribed|recommended) (?:for|in|to treat|to prevent)(?: "
        f"{DETERMINER}{_TREATMENT} of| treating)?",
        0.8,
        subject_first=False,
        wording="named",
        loose=0.8,
        observed=(1, 1),
        observed_loose=(1, 1),
    ),
    Cue(
        f" (?:in|for|capable of|effective in|useful in) {_EASING}"
        r"(?! (?:\w+ ){0,2}(?:understanding|knowledge|levels?|release|production|expression|risks?|"
        r"incidence|odds|rates?|frequency)\b)",
        0.85,
        subject_first=False,
        observed=(0, 0),
    ),
    Cue(
        f" (?:significantly |markedly |effectively |partially |completely )?{_EASES}"
        # What only makes a disease rarer treats nobody who has it.
        r"(?! (?:\w+ ){0,2}(?:understanding|knowledge|levels?|release|production|expression|risks?|"
        r"incidence|odds|likelihood|hazard|chance|rates?|frequency)\b)",
        0.94,
        subject_first=False,
        observed=(31, 32),
    ),
    Cue(
        " (?:for|against)",
        0.86,
        subject_first=False,
        left="(?<!antibody)(?<!antibodies)",
        wording="named",
        observed=(3, 3),
    ),
    Cue(
        " in",
        0.67,
        subject_first=False,
        before=r"(?:efficacy|effectiveness|benefits?|trial|use|usefulness) (?:and \w+ )?of "
        r"(?:[\w-]+ ){0,3}",
        observed=(3, 5),
    ),
)

PREDICATES = (
    Predicate(
        name="treated_with",
        subject_type=DISEASE,
        object_type=DRUG,
        phrase="drug used in the treatment",
        inverse_phrase="disease treated",
        inverse_preposition="with",
        clause="that is treated with {other}",
        inverse_clause="that is used in the treatment of {other}",
        record_rank=4,
        expansion_rank=4,
        assumed_when_tied=True,
        cues=_TREATMENT_CUES,
    ),
    Predicate(
        name="sign_treated_with",
        subject_type=PHENOTYPE,
        object_type=DRUG,
        phrase="drug used against",
        inverse_phrase="sign treated",
        inverse_preposition="with",
        clause="that is treated with {other}",
        inverse_clause="that is used against {other}",
        record_rank=9,
        expansion_rank=9,
        assumed_when_tied=True,
        cues=_TREATMENT_CUES,
    ),
)

_TREATED = ("treated_with", "sign_treated_with")

TURN_LIMITS = (
    TurnLimit(
        into=_TREATED,
        out=invert_predicates(*_TREATED),
        at_most=1,
        reason="two diseases share a drug: steroids are given in most of them",
    ),
)
