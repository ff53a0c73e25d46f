"""What drugs act on, and which drugs are given together."""

from medr_ray.knowledge.predicates.cue_words import (
    ADVERB,
    BE,
    DETERMINER,
    RAISES_OR_LOWERS,
    UP_TO_TWO_WORDS,
)
from medr_ray.knowledge.predicates.declaration import DRUG, GENE, Cue, Predicate

_MODULATOR = (
    "(?:inhibitors?|antagonists?|blockers?|agonists?|activators?|modulators?|"
    "antibod(?:y|ies)|ligands?|inducers?)"
)
_ACTS_ON = (
    "(?:inhibit(?:s|ed|ing)?|block(?:s|ed|ing)?|activate[sd]?|"
    "antagoni[sz]e[sd]?|bind(?:s|ing)?(?: to)?|target(?:s|ed|ing)?|"
    "suppress(?:es|ed|ing)?|stimulate[sd]?)"
)
_ACTED_ON = "(?:inhibited|blocked|activated|antagoni[sz]ed|stimulated|suppressed|induced|targeted)"
_ACTION = (
    "(?:inhibition|activation|blockade|stimulation|antagonism|suppression|expression|induction|"
    "modulation|(?:up-?|down-?)?regulation|phosphorylation|levels?|activity)"
)
_CHANGED_BY = (
    "(?:inhibited|blocked|activated|antagoni[sz]ed|stimulated|suppressed|induced|targeted|reduced|"
    "increased|decreased|attenuated|enhanced|elevated|reversed|prevented|up-?regulated|"
    "down-?regulated)"
)
_TOGETHER_WITH = (
    "(?:plus|(?:used |given |administered )?in combination with|combined with|"
    "together with|co-?administered with)"
)
_COMBINATION = (
    "(?:combination|co-?administration|combined (?:use|treatment|therapy)|cotreatment|regimen)s?"
)

_ACTION_CUES = (
    Cue(
        f" {ADVERB}{_ACTS_ON}",
        0.88,
        subject_first=True,
        loose=0.96,
        observed=(4, 4),
        observed_loose=(22, 22),
    ),
    Cue(
        f" {ADVERB}{RAISES_OR_LOWERS}",
        0.97,
        subject_first=True,
        loose=0.86,
        observed=(25, 25),
        observed_loose=(21, 24),
    ),
    Cue(
        rf"[- ](?:receptor )?{_MODULATOR}(?:,| \()?",
        0.96,
        subject_first=False,
        wording="compound",
        observed=(42, 43),
    ),
    Cue(
        r" \((?:an? |the )?(?:[\w-]+ ){0,3}",
        0.89,
        subject_first=True,
        after=rf"[- ](?:receptor )?(?:\w+ )?{_MODULATOR}",
        wording="compound",
        left_list=False,
        observed=(5, 5),
    ),
    Cue(
        "[- ](?:induced|mediated|stimulated|activated|inducible|dependent)",
        0.92,
        subject_first=True,
        wording="compound",
        observed=(9, 9),
    ),
    Cue(
        f" {BE} {ADVERB}{_CHANGED_BY} (?:by|with|after|following|in)",
        0.86,
        subject_first=False,
        loose=0.94,
        observed=(3, 3),
        observed_loose=(13, 13),
    ),
    Cue(
        r" (?:via|through|by) (?:\w+ )?(?:inhibit|activat|suppress|block|modulat|regulat|target|"
        "reduc|stimulat)ing",
        0.9,
        subject_first=True,
        loose=0.75,
        observed=(6, 6),
    ),
    Cue(
        rf",? (?:{BE} )?(?:an?|the) (?:[\w-]+ ){{0,3}}",
        0.92,
        subject_first=True,
        after=rf"[- ](?:receptor )?(?:\w+ )?{_MODULATOR}",
        wording="compound",
        observed=(8, 8),
    ),
    Cue(
        rf",? (?:{BE} )?(?:an?|the) (?:[\w-]+ ){{0,3}}{_MODULATOR} (?:of|for|against)",
        0.86,
        subject_first=True,
        wording="compound",
        loose=0.75,
        observed=(3, 3),
    ),
    Cue(
        " by",
        0.8,
        subject_first=False,
        before=f"{_ACTION} of {DETERMINER}{UP_TO_TWO_WORDS}",
        observed=(1, 1),
    ),
    Cue(f" {BE} {ADVERB}{_ACTED_ON} by", 0.75, subject_first=False, loose=0.75, observed=(0, 0)),
)
_COMBINATION_CUES = (
    Cue(
        f",? {_TOGETHER_WITH}",
        0.6,
        subject_first=True,
        wording="compound",
        left_list=False,
        observed=(3, 6),
    ),
    Cue(
        " (?:and|with|plus)",
        0.5,
        subject_first=True,
        before=rf"{_COMBINATION} of (?:[\w-]+ ){{0,2}}",
        wording="compound",
        observed=(2, 6),
    ),
    Cue(
        "(?:/| and |-)",
        0.57,
        subject_first=True,
        after=" (?:combination|co-?administration|co-?treatment)",
        wording="compound",
        observed=(1, 3),
    ),
    Cue(
        r" ?\+",
        0.56,
        subject_first=True,
        after=r"(?!\)? ?ratio)",
        wording="compound",
        observed=(6, 12),
    ),
)

PREDICATES = (
    Predicate(
        name="acts_on",
        subject_type=DRUG,
        object_type=GENE,
        phrase="gene whose product is acted on",
        inverse_phrase="drug acting on the product",
        inverse_preposition="of",
        clause="that acts on the product of {other}",
        inverse_clause="whose product is acted on by {other}",
        record_rank=12,
        expansion_rank=11,
        assumed_when_tied=True,
        cues=_ACTION_CUES,
    ),
    Predicate(
        name="combined_with",
        subject_type=DRUG,
        object_type=DRUG,
        phrase="drug given together",
        inverse_phrase="drug given together",
        inverse_preposition="with",
        clause="that is given together with {other}",
        inverse_clause="that is given together with {other}",
        symmetric=True,
        record_rank=14,
        expansion_rank=13,
        assumed_when_tied=True,
        cues=_COMBINATION_CUES,
    ),
)
