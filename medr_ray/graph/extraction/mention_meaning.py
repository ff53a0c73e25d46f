"""Whether a mention in a sentence means its concept.

A name of a disease, a drug or a gene may be the beginning of another name ("glutathione
S-transferase"), or say what is lacked, measured or described ("vitamin D deficiency"): then nothing
is said of the concept.
"""

import re

from medr_ray.graph.extraction.sentences import SentenceItem
from medr_ray.knowledge.predicates import DISEASE, DRUG, PHENOTYPE

DISEASES = (DISEASE, PHENOTYPE)
# With these words behind it a mention is part of the name of something else.
_COMPOUND = re.compile(
    r"\+ |-AS\d|[- ](?:resistan|sensitiv|tolera|naive|free\b|(?:corona)?virus|vaccin|"
    r"(?:[A-Z][\w-]* )?cells?\b|target|(?:(?:positive|negative) )?(?:T[- ]?)?"
    r"(?:lymphocyte|T[- ]?cell|T\b|cell count|count\b))",
    re.IGNORECASE,
)
# With these words behind it a disease is what an animal is made to have: "in a Marfan mouse model".
_MODEL_OF = re.compile(
    r"[- ](?:transgenic )?(?:mouse|mice|murine|rat|animal|zebrafish)[- ]models?\b", re.IGNORECASE
)
# A function that is lowered: "depression of after-discharge activity".
_OF_ACTIVITY = re.compile(r"(?:depression|retention|hesitation) of\b", re.IGNORECASE)
_VOLUME = re.compile(r" (?:volume|work|output|index)", re.IGNORECASE)  # "stroke volume"
# Processes that vocabularies list as synonyms of a disease.
_PROCESS = re.compile(r"fibrosis|(?:venous )?congestion|deformit(?:y|ies)|moles?", re.IGNORECASE)
_PER = "per "  # before a unit: "per mole"
# A disease as an adjective belongs to the noun behind it ("thromboembolic pulmonary hypertension"),
# unless that is who has it ("diabetic rats").
_ADJECTIVE = re.compile(r"(?:ic|al|ive|ous|ed|oid|[ai]ble)$", re.IGNORECASE)
_NOUN_BEHIND = re.compile(
    r" (?!(?:effects?|rates?|responses?|behaviou?rs?|patients?|subjects?|individuals?|persons?|"
    r"people|populations?|women|men|children|"
    r"infants|adults|adolescents|mothers|pregnan\w+|participants?|volunteers?|cases?|groups?|rats?|"
    r"mice|mouse|dogs?|animals?|rabbits?|monkeys?|states?|conditions?|episodes?|symptoms?|signs?|"
    r"attacks?|and|or|but|nor|than|as|is|are|was|were|be|been|has|have|had|who|which|that|when|"
    r"while|"
    r"in|on|of|to|by|for|from|with|without|after|during|before|at|among|following|due|induced|"
    r"associated|caused|treated|receiving|showed|improved|responded)\b)[a-z]{3,}",
)
# With these words behind it a drug is lacked, or something else is given.
_LACK = re.compile(
    r"(?:[- ][\w-]+){0,3}?[- ](?:deficien|restrict|deplet|withdraw|depriv|lesion|silenc|"
    r"knock-?(?:down|out)|down-?regulat)|[- ](?:[\w-]+ )?(?:inhibitor|antagonist|blocker|receptor|"
    r"agonist|antibod|mutation|gene\b|PET\b|SPECT\b|MRI\b|imaging|scan|scintigra|challenge|"
    r"provocation|staining|stain\b)",
    re.IGNORECASE,
)
# With these words behind it a drug only begins the name of a protein: "glutathione S-transferase",
# "insulin-like growth factor".
_PROTEIN_OF = re.compile(
    r"[- ](?:\w?\d[\w-]*[- ]|\w-)?(?:"
    r"(?!(?:dis|incr|decr|rel)eases?\b|phase|bases?\b|cases?\b)\w+ases?\b|"
    r"(?:like|binding|converting|releasing|sensing|transporting|gated)\b|"
    r"(?:transport(?:er)?|channel|pump|exchanger|cotransporter|carrier|growth factor)s?\b)",
    re.IGNORECASE,
)
# With these words behind it a mention describes what is named next: "attenuated ADR-induced FSGS".
_MODIFIER_OF_NEXT = re.compile(
    r"(?:[-/]\w+)?(?: \([^()]*\))?[- ](?:induced|associated|related|evoked|provoked|elicited)\b"
    r"(?! (?:with|to|by|in)\b)",
    re.IGNORECASE,
)
# With these words before it a drug itself is not what acts: its metabolites do, or its lack.
_NOT_ITSELF = re.compile(
    r"\b(?:metabolites?|derivatives?|analog(?:ue)?s?|antibod(?:y|ies)|deficiency|lack|absence|"
    r"withdrawal|deprivation|depletion|restriction|removal|discontinuation|omission|cessation|"
    r"resistance|activity|inhibitors?|antagonists?|blockers?|inhibition|blockade|silencing|"
    r"knock-?down|down-?regulation) (?:of|to|against|from) (?:the )?$|"
    r"\bmutations? (?:in|of) (?:the )?$|"
    r"\bnon-(?:\w+ \()?$|\b(?:decreased|reduced|lowered|diminished|insufficient|deficient) $|"
    r"\b(?:omitting|discontinuing|stopping|withdrawing|without|against|from|anti-) ?(?:the )?$",
    re.IGNORECASE,
)
# Parts of the cell that vocabularies list with the drugs.
_NOT_GIVEN = re.compile(
    r"(?:auto|iso|monoclonal )?antibod(?:y|ies)|immunoglobulins?|vesicles?|anions?|cations?|ions?|"
    r"(?:long )?(?:non-?coding )?RNAs?|(?:lnc|mi|circ)\w*RNAs?|[\w -]*(?:polymerase|hydrolase|"
    r"phospholipase A2|protein kinases?)s?",
    re.IGNORECASE,
)
# The part of a salt or an ester that does not say which one it is: "cadmium chloride".
_ANION = re.compile(
    r"(?:acetate|chloride|bromide|iodide|fluoride|sul(?:f|ph)ate|phosphate|nitrate|nitrite|oxide|"
    r"dioxide|peroxide|hydroxide|carbonate|bicarbonate|citrate|lactate|palmitate|oleate|"
    r"stearate|benzoate|"
    r"decanoate|enanthate|valerate|propionate|caproate|mesylate|besylate|hydrochloride|"
    r"succinate|maleate|tartrate|"
    r"fumarate|gluconate|sodium|potassium|ether|ester|alcohol)s?",
    re.IGNORECASE,
)
_FIRST_OF_SALT = re.compile(
    r"\b(?:dextran|chondroitin|heparan|dodecyl|zinc|copper|iron|cadmium|nickel|cobalt|gold|"
    r"silver|titanium|aluminium|aluminum|gallium|"
    r"gadolinium|technetium|ruthenium|platinum) $",
    re.IGNORECASE,
)
_SALT_OF = re.compile(
    r"\b(?!(?:and|or|of|with|by|the|for|in|to|from|than|plus|serum|plasma|urinary|urine|inorganic|"
    r"oral|total|dietary|high|low|intravenous|added|free)\b)[A-Za-z]{3,} $",
    re.IGNORECASE,
)
# A symbol behind a word and a hyphen is part of another name: "pseudoginsenoside-F11".
_HYPHENATED = re.compile(
    r"\b(?:circ|circRNA|lnc|lncRNA|hsa)[-_ ]$|"
    r"\b(?!(?:anti|phospho|phosphorylated|mutant|mutated|human|soluble|wild|type|total|nuclear|"
    r"serum|plasma|activated|cleaved|full|mono|poly|tumou?r|cell|kinase|receptor)\b)[a-z]{5,}-$",
    re.IGNORECASE,
)
_LOOK_BACK = 40  # characters before a mention that are searched for these words
# General words that name a disease only with another word before them, and such a word.
_GENERAL_WORD = re.compile(
    r"(?:infections?|diseases?|disorders?|syndromes?|tumou?rs?|cancers?|neoplasms?|lesions?|"
    r"inflammation)",
    re.IGNORECASE,
)
# The rest of a name that is an enumeration, with its initials in brackets: of "ichthyosis
# follicularis, atrichia and photophobia (IFAP)" all behind the comma.
_ENUMERATED_REST = re.compile(r"(?:,| and| or| with)[^.;:()\[\]]{3,80}[(\[]([A-Z]{3,8})[;,)\]]")
_NO_INITIAL = frozenset({"and", "or", "of", "with", "the", "in"})
_WORD = re.compile(r"[^\W\d_]+")
_NAME_BEFORE = re.compile(r"\b[A-Za-z]*(?:[A-Z][A-Z0-9-]|\d)[\w-]*[ -]$")


def is_meant(sentence: str, item: SentenceItem) -> bool:
    """Whether a mention means its concept, and is not the beginning of another name, such as a
    virus or the deficiency of a drug."""
    start, end = item.mention.span
    if _COMPOUND.match(sentence, end):
        return False
    if item.entity_type in DISEASES:
        if _PROCESS.fullmatch(sentence, start, end) or _VOLUME.match(sentence, end):
            return False
        if sentence.endswith(_PER, max(0, start - len(_PER)), start):
            return False
        if _OF_ACTIVITY.match(sentence[start:]) is not None:
            return False
        return not (_MODEL_OF.match(sentence, end) or _is_part_of_longer_name(sentence, item))
    if item.entity_type != DRUG:
        is_word = sentence[start:end].islower()
        return is_word or not _HYPHENATED.search(sentence, max(0, start - _LOOK_BACK), start)
    if _NOT_GIVEN.fullmatch(sentence, start, end):
        return False
    before = sentence[max(0, start - _LOOK_BACK) : start]
    if _FIRST_OF_SALT.search(before) or (
        _ANION.fullmatch(sentence, start, end) and _SALT_OF.search(before)
    ):
        return False
    return not (
        _LACK.match(sentence, end) or _PROTEIN_OF.match(sentence, end) or _NOT_ITSELF.search(before)
    )


def _is_part_of_longer_name(sentence: str, item: SentenceItem) -> bool:
    """Whether a mention is only the general word of a name, "infection" in "SFTS infection", the
    adjective of one, or the first finding of a syndrome that is named by its findings."""
    start, end = item.mention.span
    if _begins_enumerated_name(sentence, item):
        return True
    is_adjective = _ADJECTIVE.search(sentence, start, end) is not None
    if is_adjective and _NOUN_BEHIND.match(sentence, end):
        return True
    return (
        _GENERAL_WORD.fullmatch(sentence, start, end) is not None
        and _NAME_BEFORE.search(sentence, max(0, start - _LOOK_BACK), start) is not None
    )


def _begins_enumerated_name(sentence: str, item: SentenceItem) -> bool:
    start, end = item.mention.span
    rest = _ENUMERATED_REST.match(sentence, end)
    if rest is None:
        return False
    words = _WORD.findall(sentence[start : rest.start(1)])
    initials = "".join(word[0].upper() for word in words if word not in _NO_INITIAL)
    return initials == rest[1]


def describes_next(sentence: str, item: SentenceItem) -> bool:
    """Whether a mention only describes what is named next: "attenuated ADR-induced FSGS"."""
    return _MODIFIER_OF_NEXT.match(sentence, item.mention.end) is not None
