"""The cues, as data: which words between two named entities state which relation, and how surely.

A cue is written without what usually stands around it: the words that may follow its left entity
("gene", "therapy") and those that may lead up to its right one ("a mutation in the", "patients
with") are added by the entities' types. So one line reads "FBN1 mutations cause Marfan syndrome"
and "FBN1 causes severe Marfan syndrome".
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, PREDICATES

_BE = r"(?:is|was|are|were|be|been|being|(?:can|may|might|could) (?:also )?be|(?:has|have|had) (?:also )?been)"
_ADVERB = r"(?:\w+ly )?"
_ANY = r"(?:[\w-]+ ){0,2}"
_PLAIN = r"(?!(?:to|of|in|with|for|by|from|at|on|and|or|but|than|versus|vs|between|among)\b)[\w-]+"  # no preposition
_MODIFIERS = rf"(?:{_PLAIN} ){{0,2}}"
_THE = r"(?:an? |the |its |their |this |these |some |any )?"
_WHO = r"(?:patients?|children|adults|infants|women|men|subjects|individuals|people|famil(?:y|ies)|cases|rats|mice)"
_PEOPLE = rf"(?:\d[\d/.,]* ?%? (?:of )?)?(?:\w+ ){{0,2}}{_WHO}(?: \w+)?"
_SICK = rf"(?:{_PEOPLE} (?:with|suffering from|affected by|who have|having) )?"
_CHANGE = (
    r"(?:mutations?|variants?|variations?|polymorphisms?|deletions?|duplications?|insertions?|substitutions?|"
    r"defects?|alterations?|abnormalities|haploinsufficiency|deficiency|genotypes?|alleles?|haplotypes?|SNPs?)"
)
_LEVEL = (
    r"(?:(?:over|co-?)?expression|levels?|activity|activation|signal(?:l)?ing|loss|amplification|methylation|"
    r"inhibition|phosphorylation|mRNA|concentrations?|production|secretion|binding|release|deficiency)"
)
_GIVEN = (
    r"(?:treatment|therapy|administration|infusion|injection|exposure|use|monotherapy|chemotherapy|doses?|"
    r"overdose)"
)
_COURSE = (
    r"(?:(?:increased |reduced |higher |lower )?(?:risk|development|occurrence|onset|progression|severity|"
    r"pathogenesis|etiology|aetiology|incidence|susceptibility|predisposition|forms?|cases?|symptoms?) "
    r"(?:of|to|for) )?"
)

# What may follow a mention of the type and still be about it, and what may lead up to one.
_TAILS: Mapping[str, str] = {
    DISEASE: r"(?:['’]s)?(?: (?:patients?|cases?|symptoms?|attacks?|episodes?|development|progression|"
    r"susceptibility))?",
    PHENOTYPE: r"(?: (?:episodes?|attacks?))?",
    GENE: rf"(?:[- ](?:genes?|proteins?|receptors?|kinase|promoter|{_LEVEL}|{_CHANGE}|gene {_CHANGE}|"
    rf"protein {_LEVEL})){{0,2}}",
    DRUG: rf"(?:[- ](?:{_GIVEN}|hydrochloride|sodium|sulfate|acetate|alone|treated rats|treated mice)){{0,2}}",
}
_HEADS: Mapping[str, str] = {
    DISEASE: rf"{_THE}{_COURSE}{_THE}{_SICK}{_MODIFIERS}",
    PHENOTYPE: rf"{_THE}{_MODIFIERS}",
    GENE: rf"{_THE}(?:{_ANY}(?:{_CHANGE}|{_LEVEL}|genes?|members?|target) (?:in|of|within|at|for|affecting|the) )?"
    rf"{_THE}(?:genes? )?(?:encoding )?{_THE}{_MODIFIERS}",
    DRUG: rf"{_THE}(?:{_ANY}{_GIVEN} (?:of|with|to|by) )?{_THE}{_MODIFIERS}",
}


@dataclass(frozen=True)
class Cue:
    """One way to say one of ``predicates``, whichever has the entities' types.

    ``between`` are the words between the left and the right mention; ``before`` is what precedes
    the left one and ``after`` what follows the right one, "" where that does not matter; ``left``
    is how the left mention itself ends. ``subject_first`` when the subject is the left mention.
    ``named`` when the wording names the relation whatever the sentence goes on to say of it
    ("chloramphenicol-induced anaemia may be fatal"). ``loose`` when other words may surround the
    cue, at a lower confidence; ``left_list`` and ``right_list`` when it speaks of all items of a
    list there, not of the one beside it alone.
    """

    predicates: tuple[str, ...]
    subject_first: bool
    between: str
    confidence: float
    before: str = ""
    after: str = ""
    left: str = ""
    named: bool = False
    loose: bool = False
    left_list: bool = True
    right_list: bool = True


@dataclass(frozen=True)
class Pattern:
    """A cue for a pair of types, compiled: ``whole`` is all between the mentions, ``core`` the cue
    alone where it is a loose one."""

    cue: Cue
    predicate: str
    whole: re.Pattern[str]
    core: re.Pattern[str] | None
    before: re.Pattern[str] | None
    after: re.Pattern[str] | None
    left: re.Pattern[str] | None


TREATED = ("treated_with", "sign_treated_with")
INDUCED = ("induced_by", "sign_induced_by")
LINKED = ("associated_gene", "sign_associated_gene")
PRESENTS, COMPLICATED, SUBTYPE = ("presents_with",), ("complicated_by",), ("subtype_of",)
ACTS, INTERACTS, COMBINED = ("acts_on",), ("gene_interaction",), ("combined_with",)

_AIM = r"(?:treatment|management|therapy|prophylaxis|prevention|control)"
_EASE = (
    r"(?:treats?|improve[sd]?|relieve[sd]?|attenuate[sd]?|ameliorate[sd]?|alleviate[sd]?|prevent(?:s|ed)?|"
    r"reverse[sd]?|abolish(?:es|ed)?|protect(?:s|ed)? against|reduce[sd]?)"
)
_EASED = (
    r"(?:respond(?:s|ed|ing)? (?:\w+ )?to|responsive to|improved (?:\w+ )?(?:with|on|after|by)|"
    r"resolved (?:\w+ )?(?:with|on|after)|(?:relieved|reversed|prevented|ameliorated|alleviated|abolished) by)"
)
_BRING = (
    r"(?:induce[sd]?|cause[sd]?|causing|produce[sd]?|provoke[sd]?|precipitate[sd]?|trigger(?:s|ed)?|"
    r"elicit(?:s|ed)?)"
)
_BROUGHT = r"(?:induced|caused|provoked|precipitated|triggered|elicited|evoked)"
_LEAD = r"(?:lead(?:s|ing)? to|led to|result(?:s|ed|ing)? in)"
_HARM = (
    r"(?:complications?|side[- ]effects?|adverse (?:effects?|reactions?|events?)|toxicit(?:y|ies))"
)
_SEEN = r"(?:seen|observed|noted|occurred|occurring|developed|reported)"
_UNDERLIE = (
    rf"(?:causes?|caused|causing|{_LEAD}|underl(?:y|ies|ie|ying)|{_BE} (?:\w+ )?responsible for|"
    r"account(?:s|ed)? for|predispose[sd]? to|contribute[sd]? to|"
    r"confer(?:s|red)? (?:\w+ )?(?:susceptibility|risk)(?: to)?)"
)
_RELATED = r"(?:associated with|linked (?:to|with)|related to|implicated in|involved in)"
_CHANGED = r"(?:over-?|under-?|up-?|down-?)?(?:expressed|regulated|amplified|mutated|elevated|increased|methylated)"
_SHOW = r"(?:presents?|presented|presenting|manifests?|manifested|manifesting)"
_SIGN = (
    r"(?:symptoms?|signs?|features?|manifestations?|findings?|presentations?|complaints?|characteristics?|"
    r"hallmarks?)"
)
_FORM = r"(?:forms?|types?|subtypes?|variants?|kinds?|subsets?)"
_LIKE = r"(?:such as|including|like|e\.g\.,?|for example,?)"
_CLOSED = r"\s*(?:$|[.,;:(]|that\b|which\b|characteri|caused|with\b|affecting|due\b)"  # the noun phrase ends
_BLOCK = r"(?:inhibitors?|antagonists?|blockers?|agonists?|activators?|modulators?|antibod(?:y|ies)|ligands?|inducers?)"
_ACT = (
    r"(?:inhibit(?:s|ed|ing)?|block(?:s|ed|ing)?|activate[sd]?|antagoni[sz]e[sd]?|bind(?:s|ing)?(?: to)?|"
    r"target(?:s|ed|ing)?|suppress(?:es|ed|ing)?|stimulate[sd]?)"
)
_ACTED = r"(?:inhibited|blocked|activated|antagoni[sz]ed|stimulated|suppressed|induced|targeted)"
_ACTION = r"(?:inhibition|activation|blockade|stimulation|antagonism|suppression|expression)"
_MEET = (
    r"(?:interact(?:s|ed|ing)? with|bind(?:s|ing)?(?: to)?|bound to|phosphorylate[sd]?|activate[sd]?|"
    r"inhibit(?:s|ed)?|(?:up-?|down-?|co-?)?regulate[sd]?|repress(?:es|ed)?|suppress(?:es|ed)?|stimulate[sd]?|"
    r"cleave[sd]?|ubiquitinate[sd]?|stabili[sz]e[sd]?|recruit(?:s|ed)?|associate[sd]? (?:directly )?with|"
    r"cooperate[sd]? with|target(?:s|ed)?|form(?:s|ed)? a complex with|compete[sd]? with|"
    r"coloca(?:lize|lise)[sd]? with|trans-?activate[sd]?)"
)
_PARTNER = r"(?:targets?|substrates?|ligands?|receptors?|inhibitors?|activators?|regulators?|partners?|repressors?)"
_REGULATION = r"(?:phosphorylation|activation|inhibition|regulation|repression|expression|cleavage)"
_SHIFT = (
    r"(?:increase[sd]?|decrease[sd]?|reduce[sd]?|enhance[sd]?|up-?regulate[sd]?|down-?regulate[sd]?|induce[sd]?|"
    r"elevate[sd]?|lower(?:s|ed)?)"
)
_PLUS = r"(?:plus|(?:used |given |administered )?in combination with|combined with|together with|co-?administered with)"
_TOGETHER = (
    r"(?:combination|co-?administration|combined (?:use|treatment|therapy)|cotreatment|regimen)s?"
)

_CUES: tuple[Cue, ...] = (
    # D is treated with X
    Cue(TREATED, False, rf" (?:for|in) {_THE}(?:\w+ )?{_AIM} of", 0.9, named=True, loose=True),
    Cue(TREATED, False, r" (?:treatment|therapy) (?:of|for)", 0.85, named=True, loose=True),
    Cue(
        TREATED,
        True,
        rf",? (?:{_BE} )?{_ADVERB}(?:treated|managed|controlled) (?:\w+ )?(?:with|by|using)",
        0.9,
        named=True,
        loose=True,
        left_list=False,
    ),
    Cue(TREATED, True, r" (?:with|by|using)", 0.85, before=rf"{_AIM} of {_THE}{_ANY}", named=True),
    Cue(TREATED, True, rf",? {_EASED}", 0.8, loose=True),
    Cue(
        TREATED,
        False,
        rf" {_BE} (?:\w+ )?(?:effective|useful|successful|beneficial|efficacious|helpful|active) "
        rf"(?:in|for|against)(?: the {_AIM} of| treating)?",
        0.8,
        loose=True,
    ),
    Cue(
        TREATED,
        False,
        rf" {_BE} {_ADVERB}(?:used|indicated|approved|given|administered|prescribed|recommended) "
        rf"(?:for|in|to treat|to prevent)(?: {_THE}{_AIM} of| treating)?",
        0.8,
        named=True,
        loose=True,
    ),
    Cue(
        TREATED,
        False,
        rf" (?:significantly |markedly |effectively |partially |completely )?{_EASE}",
        0.7,
    ),
    Cue(TREATED, False, r" (?:for|against)", 0.65, left="(?<!antibody)(?<!antibodies)", named=True),
    Cue(
        TREATED,
        False,
        r" in",
        0.65,
        before=r"(?:efficacy|effectiveness|benefits?|trial|use|usefulness) (?:and \w+ )?of (?:[\w-]+ ){0,3}",
    ),
    # D is brought on by X
    Cue(INDUCED, False, r"[- ]induced", 0.9, named=True),
    Cue(INDUCED, False, r"[- ](?:related|associated)", 0.7, named=True),
    Cue(INDUCED, True, rf",? (?:{_BE} )?{_ADVERB}{_BROUGHT} by", 0.9),
    Cue(INDUCED, True, r",? (?:secondary|due|attributed|attributable) to", 0.8),
    Cue(
        INDUCED,
        True,
        r"(?<!patient)(?<!patients)(?<!cases) (?:associated with|following|after|during)",
        0.6,
    ),
    Cue(
        INDUCED,
        True,
        rf",? (?:{_BE} )?(?:\w+ )?{_SEEN} in (?:[\w%.-]+ ){{0,3}}{_WHO} (?:\w+ )?"
        r"(?:treated with|receiving|taking|given|exposed to)",
        0.6,
    ),
    Cue(INDUCED, False, rf" (?:may |can |could )?(?:also )?(?:{_BRING}|{_LEAD})", 0.75),
    Cue(
        INDUCED,
        True,
        rf",? (?:{_BE}|as) {_THE}(?:\w+ ){{0,3}}{_HARM} (?:of|to|associated with)",
        0.85,
        loose=True,
    ),
    # D goes with changes of G
    Cue(LINKED, False, rf",? (?:that |which )?(?:\w+ )?{_UNDERLIE}", 0.8, loose=True),
    Cue(LINKED, False, rf",? (?:{_BE} )?(?:\w+ ){{0,2}}{_RELATED}", 0.75),
    Cue(
        LINKED,
        False,
        rf",? (?:{_BE} )?(?:a |an |the )?(?:\w+ ){{0,2}}(?:candidate|susceptibility|risk|causative|"
        r"disease) (?:gene|locus|factor)s? (?:for|of|in)",
        0.85,
        loose=True,
    ),
    Cue(
        LINKED,
        False,
        r",? (?:the |a )?gene (?:responsible|mutated|defective|causing|involved)(?: for| in)?",
        0.9,
        loose=True,
    ),
    Cue(
        LINKED,
        True,
        rf",? (?:{_BE} )?(?:\w+ )?(?:caused by|due to|resulting from|results from|associated with|"
        r"linked to|attributed to)",
        0.8,
        loose=True,
    ),
    Cue(
        LINKED,
        True,
        r"[- ](?:\w+ )?(?:susceptibility |candidate |causative |causing |associated |disease )?genes?,?",
        0.75,
        named=True,
    ),
    Cue(
        LINKED,
        False,
        r" (?:in|and|for)",
        0.7,
        before=rf"{_CHANGE} (?:in|of|within|at) {_THE}{_ANY}",
        named=True,
    ),
    Cue(LINKED, False, rf" (?:gene )?{_CHANGE} (?:in|and|for|on|with)", 0.7, named=True),
    Cue(
        LINKED,
        False,
        r"[- ](?:related|associated|linked|mutated|mutant|positive|deficient|driven|negative)",
        0.65,
        named=True,
    ),
    Cue(
        LINKED,
        False,
        r" in",
        0.65,
        before=rf"(?:role|involvement|association|importance) of {_THE}{_ANY}",
    ),
    Cue(LINKED, False, rf" {_BE} {_ADVERB}{_CHANGED} in", 0.7),
    Cue(
        LINKED,
        False,
        r" (?:promotes?|promoted|drives?|drove|suppresses|suppressed|inhibits|inhibited)",
        0.6,
    ),
    Cue(
        LINKED, False, rf" (?:{_BE}|as) {_THE}{_ANY}(?:bio)?(?:marker|target)s? (?:of|for|in)", 0.65
    ),
    # D shows S
    Cue(PRESENTS, True, rf",? (?:\w+ )?{_SHOW} (?:\w+ )?(?:with|as|by)", 0.85, loose=True),
    Cue(PRESENTS, True, rf",? (?:{_BE} )?(?:\w+ )?characteri[sz]ed (?:\w+ )?by", 0.85, loose=True),
    Cue(
        PRESENTS,
        True,
        rf" (?:include[sd]?|including|{_BE}|consist(?:s|ed)? of)",
        0.85,
        before=rf"{_SIGN} (?:of|in) {_THE}{_ANY}",
    ),
    Cue(PRESENTS, False, rf" (?:{_BE}|as) {_THE}(?:\w+ ){{0,3}}{_SIGN} (?:of|in)", 0.9, loose=True),
    Cue(
        PRESENTS,
        False,
        rf" (?:{_BE} )?(?:{_PLAIN} )?(?:seen|observed|found|reported|common|frequent|present)? ?in "
        rf"{_PEOPLE} (?:with|suffering from|affected by)",
        0.75,
    ),
    Cue(
        PRESENTS, False, r",? (?:due|secondary|attributed|owing) to|,? (?:caused|produced) by", 0.75
    ),
    Cue(PRESENTS, True, r",? (?:often |commonly |frequently )?associated with", 0.6),
    Cue(PRESENTS, True, rf" {_PEOPLE} (?:had|have|developed?|showed|exhibited|experienced?)", 0.7),
    Cue(PRESENTS, True, rf",? (?:\w+ )?(?:causes|causing|produces|producing|{_LEAD})", 0.7),
    # D brings on another D
    Cue(COMPLICATED, True, rf",? (?:{_BE} )?complicated (?:by|with)", 0.9, loose=True),
    Cue(
        COMPLICATED,
        False,
        rf",? (?:\w+ )?(?:is|was|are|were|as|being) {_THE}(?:\w+ ){{0,2}}complications? (?:of|in)",
        0.9,
        loose=True,
    ),
    Cue(COMPLICATED, False, r" complicating", 0.9, loose=True),
    Cue(COMPLICATED, False, r",? (?:due|secondary|owing|attributable) to|,? caused by", 0.75),
    Cue(COMPLICATED, True, rf",? (?:\w+ )?(?:causes|causing|{_LEAD})", 0.7),
    Cue(
        COMPLICATED,
        True,
        rf" (?:{_BE} {_THE}(?:\w+ ){{0,2}}risk factors? for|increases? the risk (?:of|for))",
        0.7,
    ),
    # D is a kind of D
    Cue(
        SUBTYPE,
        True,
        rf",? (?:{_BE} )?(?:an?|the|one) (?:[\w-]+ ){{0,4}}{_FORM} of",
        0.9,
        named=True,
    ),
    Cue(SUBTYPE, False, rf",? {_LIKE}", 0.75, left="s", named=True, left_list=False),
    Cue(SUBTYPE, True, r",? and other", 0.75, named=True, right_list=False),
    Cue(SUBTYPE, True, rf" is an? (?:{_PLAIN} ){{0,4}}", 0.7, after=_CLOSED),
    # X acts on G
    Cue(ACTS, True, rf" {_ADVERB}{_ACT}", 0.8),
    Cue(ACTS, True, rf" {_ADVERB}{_SHIFT}", 0.65),
    Cue(ACTS, False, rf"[- ](?:receptor )?{_BLOCK},?", 0.85, named=True),
    Cue(
        ACTS,
        True,
        rf",? (?:{_BE} )?(?:an?|the) (?:[\w-]+ ){{0,3}}",
        0.85,
        after=rf"[- ](?:receptor )?(?:\w+ )?{_BLOCK}",
        named=True,
    ),
    Cue(
        ACTS,
        True,
        rf",? (?:{_BE} )?(?:an?|the) (?:[\w-]+ ){{0,3}}{_BLOCK} (?:of|for|against)",
        0.85,
        named=True,
        loose=True,
    ),
    Cue(ACTS, False, r" by", 0.8, before=rf"{_ACTION} of {_THE}{_ANY}"),
    Cue(ACTS, False, rf" {_BE} {_ADVERB}{_ACTED} by", 0.8, loose=True),
    # G and G meet
    Cue(INTERACTS, True, rf",? (?:that |which )?{_ADVERB}{_MEET}", 0.8),
    Cue(INTERACTS, True, rf" {_ADVERB}{_SHIFT}", 0.6),
    Cue(
        INTERACTS,
        True,
        rf",? (?:{_BE} )?(?:an?|the) (?:[\w-]+ ){{0,3}}{_PARTNER} (?:of|for)",
        0.8,
        loose=True,
    ),
    Cue(
        INTERACTS,
        True,
        r" (?:and|with|to)",
        0.8,
        before=rf"(?:interactions?|binding|association|complex|crosstalk) (?:between|of) {_THE}{_ANY}",
    ),
    Cue(INTERACTS, True, r"(?:[-/:]| and )", 0.75, after=r" (?:complex|interaction|heterodimer)"),
    Cue(
        INTERACTS,
        True,
        r" and",
        0.75,
        after=rf" {_ADVERB}(?:interact|form an?|bind|cooperate|associate)\b",
    ),
    Cue(INTERACTS, True, r" by", 0.75, before=rf"{_REGULATION} of {_THE}{_ANY}"),
    Cue(INTERACTS, True, r"[- ](?:induced|mediated|dependent|stimulated)", 0.65),
    # X is given together with X
    Cue(COMBINED, True, rf",? {_PLUS}", 0.85, named=True),
    Cue(
        COMBINED,
        True,
        r" (?:and|with|plus)",
        0.85,
        before=rf"{_TOGETHER} (?:of|with) (?:[\w-]+ ){{0,2}}",
        named=True,
    ),
    Cue(
        COMBINED,
        True,
        r"(?:/| and |-)",
        0.85,
        after=r" (?:combination|co-?administration|co-?treatment)",
        named=True,
    ),
    Cue(COMBINED, True, r" ?\+", 0.65, after=r"(?!\)? ?ratio)", named=True),
    Cue(COMBINED, True, r"/", 0.45, named=True),
)


def _compiled(cue: Cue, predicate: str) -> Pattern:
    kinds = PREDICATES[predicate].subject_type, PREDICATES[predicate].object_type
    left, right = kinds if cue.subject_first else kinds[::-1]
    whole = rf"{_TAILS[left]}(?:{cue.between})(?:\s+|(?<=\W)){_HEADS[right]}"
    return Pattern(
        cue,
        predicate,
        re.compile(whole, re.IGNORECASE),
        re.compile(rf"(?:{cue.between})\b", re.IGNORECASE) if cue.loose else None,
        re.compile(rf"\b(?:{cue.before})\s*$", re.IGNORECASE) if cue.before else None,
        re.compile(cue.after, re.IGNORECASE) if cue.after else None,
        re.compile(rf"(?:{cue.left})$", re.IGNORECASE) if cue.left else None,
    )


def _by_types() -> dict[tuple[str, str], Sequence[Pattern]]:
    found: dict[tuple[str, str], list[Pattern]] = defaultdict(list)
    for cue in _CUES:
        for name in cue.predicates:
            kinds = PREDICATES[name].subject_type, PREDICATES[name].object_type
            found[kinds if cue.subject_first else kinds[::-1]].append(_compiled(cue, name))
    return dict(found)


PATTERNS: Mapping[tuple[str, str], Sequence[Pattern]] = (
    _by_types()
)  # by the types of the left and the right mention
