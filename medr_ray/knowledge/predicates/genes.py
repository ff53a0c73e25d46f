"""Genes: which disease or sign goes with changes of which gene, and which genes interact."""

from medr_ray.knowledge.predicates.cue_words import (
    ADVERB,
    BE,
    DETERMINER,
    GENE_CHANGE,
    LEADS_TO,
    PATIENTS,
    RAISES_OR_LOWERS,
    UP_TO_TWO_WORDS,
)
from medr_ray.knowledge.predicates.declaration import (
    DISEASE,
    GENE,
    PHENOTYPE,
    Cue,
    Predicate,
)

_UNDERLIES = (
    rf"(?:causes?|caused|causing|{LEADS_TO}|underl(?:y|ies|ie|ying)|(?:{BE} (?:\w+ "
    ")?)?responsible for|"
    "account(?:s|ed)? for|predispose[sd]? to|contribute[sd]? to|"
    r"confer(?:s|red)? (?:\w+ )?(?:susceptibility|risk)(?: to)?)"
)
_WERE_SEEN = f"(?:{BE} )?(?:\\w+ )?(?:described|reported|identified|found|detected|observed)"
_RELATED_TO = "(?:associated with|linked (?:to|with)|related to|implicated in|involved in)"
_CHANGED = (
    "(?:over-?|under-?|up-?|down-?)?(?:expressed|regulated|amplified|mutated|"
    "elevated|increased|decreased|reduced|lower|higher|methylated)"
)
_ANIMALS_WITHOUT = (
    "(?:[- ]?(?:knock-?out|KO|null|deficient|mutant|transgenic|overexpressing)|(?:-/-|\\(-/-\\)))"
    "(?: mice| rats| animals| mouse)?"
)
_SHOWS = "(?:develop(?:ed)?|exhibit(?:ed)?|show(?:ed)?|display(?:ed)?|have|had|suffer(?:ed)? from)"
_AFFECTS = (
    "(?:promotes?|promoted|drives?|drove|suppress(?:es|ed)?|inhibit(?:s|ed)?|enhances?|enhanced|"
    "accelerates?|accelerated|attenuates?|attenuated|prevents?|prevented|protects? against|"
    "reduces?|reduced|ameliorates?|ameliorated|regulates?|mediates?|mediated|exacerbates?|"
    "modulates?|facilitates?|induces?|induced|increases?|increased|decreases?|decreased)"
)
_INTERACTS_WITH = (
    "(?:interact(?:s|ed|ing)? with|bind(?:s|ing)?(?: to)?|bound to|phosphorylate[sd]?|"
    "activate[sd]?|inhibit(?:s|ed)?|(?:up-?|down-?|co-?)?regulate[sd]?|repress(?:es|"
    "ed)?|suppress(?:es|ed)?|stimulate[sd]?|cleave[sd]?|ubiquitinate[sd]?|"
    "stabili[sz]e[sd]?|recruit(?:s|ed)?|associates? (?:directly )?with|associated directly with|"
    "cooperate[sd]? with|target(?:s|ed)?|form(?:s|ed)? a complex with|compete[sd]? "
    "with|coloca(?:lize|lise)[sd]? with|trans-?activate[sd]?|modulate[sd]?|mediate[sd]?|"
    "promote[sd]?|control(?:s|led)?|degrade[sd]?|antagoni[sz]e[sd]?|block(?:s|ed)?|"
    "attenuate[sd]?)"
)
_PARTNER = (
    "(?:targets?|substrates?|ligands?|receptors?|inhibitors?|activators?|regulators?|"
    "partners?|repressors?)"
)
_REGULATION = (
    "(?:phosphorylation|activation|inhibition|(?:up-?|down-?)?regulation|repression|expression|"
    "cleavage|induction|modulation|degradation|suppression)"
)

_ASSOCIATION_CUES = (
    Cue(
        rf",? (?:that |which )?(?:\w+ )?{_UNDERLIES}",
        0.95,
        subject_first=False,
        loose=0.8,
        observed=(34, 35),
        observed_loose=(17, 21),
    ),
    Cue(
        rf",? (?:{BE} )?(?:\w+ ){{0,2}}{_RELATED_TO}",
        0.85,
        subject_first=False,
        loose=0.95,
        observed=(53, 62),
        observed_loose=(37, 38),
    ),
    Cue(
        rf",? (?:{BE} )?(?:a |an |the )?(?:\w+ ){{0,2}}(?:candidate|susceptibility|risk|"
        "causative|"
        "disease) (?:gene|locus|factor)s? (?:for|of|in)",
        0.6,
        subject_first=False,
        loose=0.6,
        observed=(0, 1),
        observed_loose=(0, 1),
    ),
    Cue(
        ",? (?:the |a )?gene (?:responsible|mutated|defective|causing|involved)(?: for| in)?",
        0.75,
        subject_first=False,
        loose=0.75,
    ),
    Cue(
        rf",? (?:{BE} )?(?:\w+ )?(?:caused by|due to|resulting from|results from|"
        "associated with|"
        "linked to|attributed to)",
        0.95,
        subject_first=True,
        loose=0.9,
        observed=(15, 15),
        observed_loose=(16, 17),
    ),
    Cue(
        r"[- ](?:\w+ )?(?:susceptibility |candidate |causative |causing |associated |"
        "disease )?genes?,?",
        0.92,
        subject_first=True,
        wording="compound",
        observed=(8, 8),
    ),
    Cue(
        " (?:in|and|for)",
        0.96,
        subject_first=False,
        before=f"{GENE_CHANGE} (?:in|of|within|at) {DETERMINER}{UP_TO_TWO_WORDS}",
        wording="named",
        observed=(21, 21),
    ),
    Cue(
        f" (?:genes? )?{_WERE_SEEN} in",
        0.86,
        subject_first=False,
        before=f"{GENE_CHANGE} (?:in|of|within|at) {DETERMINER}{UP_TO_TWO_WORDS}",
        wording="named",
        observed=(3, 3),
    ),
    Cue(
        f" (?:gene )?{GENE_CHANGE} {_WERE_SEEN} in",
        0.8,
        subject_first=False,
        wording="named",
        observed=(1, 1),
    ),
    Cue(
        f" (?:gene )?{GENE_CHANGE} and",
        0.8,
        subject_first=False,
        after=r" (?:risks?|susceptibility|predisposition|severity|progression|prognosis)\b",
        wording="named",
        observed=(1, 1),
    ),
    Cue(
        f" (?:gene )?{GENE_CHANGE} (?:in|for|on|with|"
        r"and (?=(?:[\w'-]+ ){0,4}(?:risks?|susceptibility|predisposition|development|severity|"
        r"progression|outcomes?|prognosis|age|onset)\b))",
        0.94,
        subject_first=False,
        wording="named",
        observed=(12, 12),
    ),
    Cue(
        "[- ](?:related|associated|linked|mutated|mutant|positive|deficient|driven|negative|low|"
        "high|amplified|rearranged|overexpressing|null)",
        0.78,
        subject_first=False,
        wording="compound",
        observed=(4, 5),
    ),
    Cue(
        " in",
        0.8,
        subject_first=False,
        before="(?:roles?|involvement|association|importance|functions?|contribution|"
        "significance) of "
        f"{DETERMINER}{UP_TO_TWO_WORDS}",
        observed=(5, 6),
    ),
    Cue(
        f" {BE} {ADVERB}{_CHANGED} in",
        0.86,
        subject_first=False,
        loose=0.83,
        observed=(3, 3),
        observed_loose=(2, 2),
    ),
    Cue(
        f" {ADVERB}{_AFFECTS}",
        0.93,
        subject_first=False,
        loose=0.97,
        observed=(11, 11),
        observed_loose=(31, 31),
    ),
    Cue(
        f",? {ADVERB}{RAISES_OR_LOWERS}",
        0.85,
        subject_first=True,
        loose=0.83,
        observed=(8, 9),
        observed_loose=(7, 8),
    ),
    Cue(
        " (?:and|with|to)",
        0.86,
        subject_first=False,
        before="(?:associations?|relations?|relationships?|correlations?|links?) (?:between|of) "
        f"{DETERMINER}{UP_TO_TWO_WORDS}",
        observed=(3, 3),
    ),
    Cue(
        " (?:and|with|to)",
        0.8,
        subject_first=True,
        before="(?:associations?|relations?|relationships?|correlations?|links?) (?:between|of) "
        f"{DETERMINER}{UP_TO_TWO_WORDS}",
        observed=(1, 1),
    ),
    Cue(
        " (?:with|carrying|harbou?ring|bearing|having)",
        0.83,
        subject_first=True,
        after=f"[- ](?:gene )?{GENE_CHANGE}",
        observed=(2, 2),
    ),
    Cue(
        " (?:gene )?(?:expression |levels? )?in (?:the )?(?:pathogenesis|development|progression|"
        "aetiology|etiology|prognosis|diagnosis) (?:and \\w+ )?of",
        0.8,
        subject_first=False,
        observed=(1, 1),
    ),
    Cue(
        f" {BE} {ADVERB}(?:critical|essential|required|important|necessary|crucial|central|"
        "involved)"
        " (?:for|in|to)",
        0.95,
        subject_first=False,
        observed=(16, 16),
    ),
    Cue(
        "[- ](?:mediated|dependent|induced)",
        0.86,
        subject_first=False,
        wording="compound",
        observed=(3, 3),
    ),
    Cue(f"{_ANIMALS_WITHOUT} {ADVERB}{_SHOWS}", 0.75, subject_first=False, loose=0.75),
    Cue(" (?:bio)?markers?,?", 0.83, subject_first=True, wording="compound", observed=(2, 2)),
    Cue(
        " in",
        0.85,
        subject_first=False,
        before="(?:over-?expression|expression|up-?regulation|down-?regulation|levels?|activity|"
        f"amplification|loss) of {DETERMINER}{UP_TO_TWO_WORDS}",
        observed=(8, 9),
    ),
    Cue(
        " (?:overexpression|over-expression|expression|amplification|loss|inactivation|"
        "methylation) in",
        0.67,
        subject_first=False,
        observed=(1, 2),
    ),
    Cue(
        f" {PATIENTS}? ?(?:had|have|showed|exhibited|with) (?:\\w+ )?(?:higher|lower|elevated|"
        "increased|"
        "decreased|reduced|low|high)(?: serum| plasma)?",
        0.93,
        subject_first=True,
        observed=(11, 11),
    ),
    Cue(
        f" (?:{BE}|as) {DETERMINER}{UP_TO_TWO_WORDS}(?:bio)?(?:marker|target)s? (?:of|for|in)",
        0.89,
        subject_first=False,
        observed=(5, 5),
    ),
)
_INTERACTION_CUES = (
    Cue(
        f",? (?:that |which )?{ADVERB}{_INTERACTS_WITH}",
        0.79,
        subject_first=True,
        loose=0.63,
        observed=(31, 39),
        observed_loose=(49, 79),
    ),
    Cue(
        f" {ADVERB}{RAISES_OR_LOWERS}",
        0.92,
        subject_first=True,
        loose=0.88,
        observed=(8, 8),
        observed_loose=(25, 28),
    ),
    Cue(
        rf",? (?:{BE} )?(?:an?|the) (?:[\w-]+ ){{0,3}}{_PARTNER} (?:of|for)",
        0.86,
        subject_first=True,
        loose=0.75,
        observed=(3, 3),
    ),
    Cue(
        " (?:and|with|to)",
        0.88,
        subject_first=True,
        before="(?:interactions?|binding|complex|crosstalk) (?:between|of) "
        f"{DETERMINER}{UP_TO_TWO_WORDS}",
        observed=(4, 4),
    ),
    Cue("(?:[-/:]| and )", 0.75, subject_first=True, after=" (?:complex|interaction|heterodimer)"),
    Cue(
        " and",
        0.8,
        subject_first=True,
        after=rf" {ADVERB}(?:interact|form an?|bind|cooperate|associate)\b",
        observed=(1, 1),
    ),
    Cue(
        " by",
        0.89,
        subject_first=True,
        before=f"{_REGULATION} of {DETERMINER}{UP_TO_TWO_WORDS}",
        observed=(5, 5),
    ),
    Cue(
        "[- ](?:induced|mediated|dependent|stimulated|activated|driven|regulated|responsive)",
        0.96,
        subject_first=True,
        observed=(43, 44),
    ),
    Cue(
        f" {BE} {ADVERB}{_CHANGED} (?:in|by)",
        0.83,
        subject_first=False,
        after="[- ]?(?:transgenic|knock|deficien|null|mutant|-/-|\\(-/-|over-?express|"
        "deple|inhibit)",
        observed=(2, 2),
    ),
    Cue(
        f" {BE} {ADVERB}(?:induced|activated|inhibited|phosphorylated|regulated|mediated|"
        "suppressed) "
        "(?:by|via|through)",
        0.86,
        subject_first=False,
        loose=0.91,
        observed=(3, 3),
        observed_loose=(7, 7),
    ),
)

PREDICATES = (
    Predicate(
        name="associated_gene",
        subject_type=DISEASE,
        object_type=GENE,
        phrase="gene associated",
        inverse_phrase="disease associated",
        inverse_preposition="with",
        clause="that is associated with {other}",
        inverse_clause="that is associated with {other}",
        record_rank=2,
        expansion_rank=2,
        assumed_when_tied=True,
        cues=_ASSOCIATION_CUES,
    ),
    Predicate(
        name="sign_associated_gene",
        subject_type=PHENOTYPE,
        object_type=GENE,
        phrase="gene linked",
        inverse_phrase="sign linked",
        inverse_preposition="to",
        clause="that is linked to {other}",
        inverse_clause="that is linked to {other}",
        record_rank=11,
        expansion_rank=10,
        assumed_when_tied=True,
        cues=_ASSOCIATION_CUES,
    ),
    Predicate(
        name="gene_interaction",
        subject_type=GENE,
        object_type=GENE,
        phrase="gene reported to interact",
        inverse_phrase="gene reported to interact",
        inverse_preposition="with",
        clause="that is reported to interact with {other}",
        inverse_clause="that is reported to interact with {other}",
        symmetric=True,
        record_rank=13,
        expansion_rank=12,
        assumed_when_tied=True,
        cues=_INTERACTION_CUES,
    ),
)
