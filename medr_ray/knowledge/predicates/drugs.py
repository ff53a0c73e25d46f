"""What drugs act on, and which drugs are given together."""

from medr_ray.knowledge.predicates.cue_words import (
    ADVERB,
    BE,
    DETERMINER,
    RAISES_OR_LOWERS,
    UP_TO_TWO_WORDS,
)
from medr_ray.knowledge.predicates.declaration import DRUG, GENE, ChineseWording, Cue, Predicate

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
    Cue(f" {ADVERB}{_ACTS_ON}", 0.8, subject_first=True, loose=True),
    Cue(f" {ADVERB}{RAISES_OR_LOWERS}", 0.65, subject_first=True, loose=True),
    Cue(
        rf"[- ](?:receptor )?{_MODULATOR}(?:,| \()?", 0.85, subject_first=False, wording="compound"
    ),
    Cue(
        r" \((?:an? |the )?(?:[\w-]+ ){0,3}",
        0.85,
        subject_first=True,
        after=rf"[- ](?:receptor )?(?:\w+ )?{_MODULATOR}",
        wording="compound",
    ),
    Cue(
        "[- ](?:induced|mediated|stimulated|activated|inducible|dependent)",
        0.65,
        subject_first=True,
        wording="compound",
    ),
    Cue(
        r" (?:\w+ )?(?:cataly[sz]es|metaboli[sz]es|hydroly[sz]es|oxidi[sz]es|degrades|converts)"
        "(?: the (?:conversion|breakdown|oxidation|hydrolysis|metabolism|degradation|synthesis) of)?",
        0.7,
        subject_first=False,
    ),
    Cue("[- ]metaboli[sz]ing (?:enzymes? |genes? )?", 0.7, subject_first=True),
    Cue(
        f" {BE} {ADVERB}{_CHANGED_BY} (?:by|with|after|following|in)",
        0.65,
        subject_first=False,
        loose=True,
    ),
    Cue(
        " (?:via|through|by) (?:\\w+ )?(?:inhibit|activat|suppress|block|modulat|regulat|target|reduc|"
        "stimulat)ing",
        0.65,
        subject_first=True,
        loose=True,
    ),
    Cue(
        rf",? (?:{BE} )?(?:an?|the) (?:[\w-]+ ){{0,3}}",
        0.85,
        subject_first=True,
        after=rf"[- ](?:receptor )?(?:\w+ )?{_MODULATOR}",
        wording="compound",
    ),
    Cue(
        rf",? (?:{BE} )?(?:an?|the) (?:[\w-]+ ){{0,3}}{_MODULATOR} (?:of|for|against)",
        0.85,
        subject_first=True,
        wording="compound",
        loose=True,
    ),
    Cue(" by", 0.8, subject_first=False, before=f"{_ACTION} of {DETERMINER}{UP_TO_TWO_WORDS}"),
    Cue(f" {BE} {ADVERB}{_ACTED_ON} by", 0.8, subject_first=False, loose=True),
)
_COMBINATION_CUES = (
    Cue(f",? {_TOGETHER_WITH}", 0.85, subject_first=True, wording="compound"),
    Cue(
        " (?:and|with|plus)",
        0.85,
        subject_first=True,
        before=rf"{_COMBINATION} (?:of|with) (?:[\w-]+ ){{0,2}}",
        wording="compound",
    ),
    Cue(
        "(?:/| and |-)",
        0.85,
        subject_first=True,
        after=" (?:combination|co-?administration|co-?treatment)",
        wording="compound",
    ),
    Cue(r" ?\+", 0.65, subject_first=True, after=r"(?!\)? ?ratio)", wording="compound"),
    Cue("/", 0.45, subject_first=True, wording="compound"),
)

PREDICATES = (
    Predicate(
        name="acts_on",
        subject_type=DRUG,
        object_type=GENE,
        phrase="gene whose product is acted on",
        sentence="The gene whose product is acted on by {subject} is {object}.",
        preposition="by",
        inverse_phrase="drug acting on the product",
        inverse_preposition="of",
        clause="that acts on the product of {other}",
        inverse_clause="whose product is acted on by {other}",
        chinese=ChineseWording(
            phrase="{known}所作用产物的编码基因",
            inverse_phrase="作用于{known}产物的{other}药物",
            clause="作用于{other}的产物",
            inverse_clause="其产物受{other}作用",
        ),
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
        sentence="The drug given together with {subject} is {object}.",
        preposition="with",
        inverse_phrase="drug given together",
        inverse_preposition="with",
        clause="that is given together with {other}",
        inverse_clause="that is given together with {other}",
        symmetric=True,
        chinese=ChineseWording(
            phrase="与{known}联用的药物",
            inverse_phrase="与{known}联用的{other}药物",
            clause="可与{other}联用",
        ),
        record_rank=14,
        expansion_rank=13,
        assumed_when_tied=True,
        cues=_COMBINATION_CUES,
    ),
)
