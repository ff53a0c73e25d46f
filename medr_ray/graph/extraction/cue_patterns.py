"""The cues of the predicates as compiled patterns, by the types of the two mentions.

A cue (see ``knowledge.predicates``) is written without the words that usually surround it. The
words that may follow its left entity ("gene", "therapy") and those that may lead up to its right
entity ("a mutation in the", "patients with") are added here, by the entities' types. So one cue
reads "FBN1 mutations cause Marfan syndrome" and "FBN1 causes severe Marfan syndrome".
"""

import functools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE, PREDICATES, Cue
from medr_ray.knowledge.predicates.cue_words import (
    DETERMINER,
    GENE_CHANGE,
    PATIENT_GROUP,
    PLAIN_WORD,
    UP_TO_TWO_WORDS,
)

_MODIFIERS = f"(?:{PLAIN_WORD} ){{0,3}}"
_PATIENTS_WITH = f"(?:{PATIENT_GROUP} (?:with|suffering from|affected by|who have|having) )?"
_GENE_LEVEL = (
    "(?:(?:over-?|co-?)?expression|levels?|activity|activation|signal(?:l)?ing|"
    "loss|amplification|methylation|inhibition|phosphorylation|mRNA|transcription|synthesis|"
    "(?:up-?|down-?)?regulation|degradation|cleavage|induction|stimulation|depletion|silencing|"
    "knock-?down|ablation|pathways?|"
    "concentrations?|production|secretion|binding|release|deficiency)"
)
_ADMINISTRATION = (
    "(?:treatment|therapy|administration|infusion|injection|exposure|"
    "use|monotherapy|chemotherapy|doses?|overdose)"
)
_DISEASE_COURSE = (
    "(?:(?:increased |reduced |higher |lower )?(?:risk|development|occurrence|onset|"
    "progression|severity|pathogenesis|etiology|aetiology|incidence|susceptibility|"
    "predisposition|forms?|cases?|symptoms?) (?:of|to|for) )?"
)

# Words that may follow a mention of the type and still belong to it.
_TAILS: Mapping[str, str] = {
    DISEASE: (
        "(?:['’]s)?"
        "(?: (?:patients?|cases?|symptoms?|attacks?|episodes?|development|progression|"
        "susceptibility))?"
    ),
    PHENOTYPE: "(?: (?:episodes?|attacks?))?",
    GENE: (
        r"(?: (?:rs\d+|[A-Za-z]{0,3}-?\d+\S{0,8}))?"  # a variant: "FGFR4 Gly388Arg"
        f"(?:[- ](?:genes?|proteins?|receptors?|kinase|promoter|{_GENE_LEVEL}|{GENE_CHANGE}|"
        f"gene {GENE_CHANGE}|protein {_GENE_LEVEL})){{0,2}}"
    ),
    DRUG: (
        f"(?:[- ](?:{_ADMINISTRATION}|hydrochloride|sodium|sulfate|acetate|alone|treated rats|"
        "treated mice)){0,2}"
    ),
}
# Words that may lead up to a mention of the type.
_HEADS: Mapping[str, str] = {
    DISEASE: f"{DETERMINER}{_DISEASE_COURSE}{DETERMINER}{_PATIENTS_WITH}{_MODIFIERS}",
    PHENOTYPE: f"{DETERMINER}{_MODIFIERS}",
    GENE: (
        f"{DETERMINER}(?:{UP_TO_TWO_WORDS}"
        f"(?:{GENE_CHANGE}|{_GENE_LEVEL}|genes?|members?|target) "
        "(?:in|of|within|at|for|affecting|the) )?"
        f"{DETERMINER}(?:genes? )?(?:encoding )?{DETERMINER}{_MODIFIERS}"
    ),
    DRUG: (
        f"{DETERMINER}(?:{UP_TO_TWO_WORDS}{_ADMINISTRATION} (?:of|with|to|by) )?"
        f"{DETERMINER}{_MODIFIERS}"
    ),
}


@dataclass(frozen=True)
class Pattern:
    """A cue for a pair of types, compiled.

    ``whole`` matches all text between the two mentions. ``core`` matches the cue alone and is set
    for loose cues, which other words may surround. ``before``, ``after`` and ``left`` are further
    conditions on the text before the pair, behind it and in the left mention.
    """

    cue: Cue
    predicate: str
    whole: re.Pattern[str]
    core: re.Pattern[str] | None
    before: re.Pattern[str] | None
    after: re.Pattern[str] | None
    left: re.Pattern[str] | None

    @functools.cached_property
    def most(self) -> float:
        """The highest confidence that it can give."""
        return max(self.cue.confidence, self.cue.loose)


def _mention_types(cue: Cue, predicate: str) -> tuple[str, str]:
    """The types of the left and the right mention."""
    subject_type = PREDICATES[predicate].subject_type
    object_type = PREDICATES[predicate].object_type
    return (subject_type, object_type) if cue.subject_first else (object_type, subject_type)


def _compile_cue(cue: Cue, predicate: str) -> Pattern:
    left_type, right_type = _mention_types(cue, predicate)
    # White space after the cue may only be missing behind a hyphen or another non-word character.
    between = rf"(?:{cue.between})(?:\s+|(?<=\W))"
    return Pattern(
        cue=cue,
        predicate=predicate,
        whole=re.compile(f"{_TAILS[left_type]}{between}{_HEADS[right_type]}", re.IGNORECASE),
        core=re.compile(rf"(?:{cue.between})\b", re.IGNORECASE) if cue.loose > 0 else None,
        before=re.compile(rf"(?:\b|^)(?:{cue.before})\s*$", re.IGNORECASE) if cue.before else None,
        after=re.compile(cue.after, re.IGNORECASE) if cue.after else None,
        left=re.compile(rf"(?:{cue.left})$", re.IGNORECASE) if cue.left else None,
    )


def _group_by_types() -> dict[tuple[str, str], Sequence[Pattern]]:
    patterns: dict[tuple[str, str], list[Pattern]] = defaultdict(list)
    for name, predicate in PREDICATES.items():
        for cue in predicate.cues:
            patterns[_mention_types(cue, name)].append(_compile_cue(cue, name))
    # The surest first, so that a search can stop; a stable sort keeps the order of equal ones.
    return {
        types: sorted(alternatives, key=lambda pattern: -pattern.most)
        for types, alternatives in patterns.items()
    }


# By the types of the left and the right mention. Among cues of equal confidence the first one
# wins, so their order matters.
PATTERNS: Mapping[tuple[str, str], Sequence[Pattern]] = _group_by_types()
