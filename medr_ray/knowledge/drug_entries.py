"""Which entries of the drug dictionary are substances that are given.

The dictionary lists under drugs all chemical headings of MeSH, so receptors, enzymes, transcription
factors and classes of action too, and the microbes of allergen extracts ("Candida albicans").
"""

import re

from medr_ray.knowledge.dictionaries import DictionaryEntry
from medr_ray.knowledge.mesh import classify_trees
from medr_ray.knowledge.predicates import DRUG, GENE

# Genera of bacteria and moulds by the ends of their names, and the frequent ones that have others.
_MICROBE = re.compile(
    r"(?:[a-z]+(?:coccus|bacter|bacterium|monas|siella|myces|sporium|cillium)|"
    r"aspergillus|bacillus|borrelia|candida|clostridium|clostridioides|curvularia|escherichia|"
    r"alternaria|fusarium|haemophilus|helicobacter|listeria|mucor|neisseria|proteus|rhizopus|"
    r"rhodotorula|serratia|trichophyton|yersinia) (?!oil|vaccine|protein)[a-z]+(?: [a-z]+)?",
    re.IGNORECASE,
)


_THROMBOLYTIC = "plase"  # the stem of enzymes that are made to be given: "tenecteplase"


def is_substance(entry: DictionaryEntry) -> bool:
    """Whether an entry of the drug dictionary names a substance that may be given.

    Its place in MeSH decides, where it has one. What is listed as a medicine stays, whatever its
    place, and a plain protein is dropped where it is not. A number of DrugBank, which numbers
    proteins of the body too, counts for everything else.
    """
    if _MICROBE.fullmatch(entry.name):
        return False
    kind = classify_trees(entry.trees) if entry.trees else DRUG
    if kind == DRUG or entry.name.lower().endswith(_THROMBOLYTIC):
        return True
    has_number = entry.concept_id.startswith("DRUGBANK:")
    return has_number and (entry.is_medicine or kind != GENE)
