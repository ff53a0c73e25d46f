"""Regular expressions that the cues of several predicates share."""

BE = (
    "(?:is|was|are|were|be|been|being|(?:can|may|might|could) (?:also )?be|(?:has|"
    "have|had) (?:also )?been)"
)
ADVERB = r"(?:\w+ly )?"
UP_TO_TWO_WORDS = r"(?:[\w-]+ ){0,2}"
PLAIN_WORD = (
    "(?!(?:to|of|in|with|for|by|from|at|on|and|or|but|than|versus|vs|between|"
    r"among)\b)[\w-]+"
)
DETERMINER = "(?:an? |the |its |their |this |these |some |any )?"
PATIENTS = (
    "(?:patients?|children|adults|infants|women|men|subjects|individuals|people|"
    "famil(?:y|ies)|cases|rats|mice)"
)
PATIENT_GROUP = rf"(?:\d[\d/.,]* ?%? (?:of )?)?(?:\w+ ){{0,2}}{PATIENTS}(?: \w+)?"
GENE_CHANGE = (
    "(?:mutations?|variants?|variations?|polymorphisms?|deletions?|duplications?|"
    "insertions?|substitutions?|defects?|alterations?|abnormalities|"
    "haploinsufficiency|deficiency|genotypes?|alleles?|haplotypes?|SNPs?)"
)
LEADS_TO = "(?:lead(?:s|ing)? to|led to|result(?:s|ed|ing)? in)"
RAISES_OR_LOWERS = (
    # Not in the passive, which says what happened to the left one.
    "(?<!was )(?<!were )(?<!been )"
    "(?:increase[sd]?|decrease[sd]?|reduce[sd]?|enhance[sd]?|up-?regulate[sd]?|"
    "down-?regulate[sd]?|induce[sd]?|elevate[sd]?|lower(?:s|ed)?)"
    r"(?! (?:is|was|were|are|by)\b)"
)
