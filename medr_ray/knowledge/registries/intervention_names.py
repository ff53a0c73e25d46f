"""The substance that an intervention of a trial names, where it plainly names one.

Guarantees: the substance is part of the printed name; what is no plain name of one substance gives
none. So doses, forms and routes are left out ("Metformin 500 mg bid" is Metformin), while a
placebo, a combination, a class of drugs, a regimen, cells, extracts and procedures are none.
"""

import re

_TRADEMARKS = re.compile("[®™©]")
_BRACKETS = re.compile(r"\s*(?:[(（][^()（）]*[)）]|\[[^][]*\])")
# What names several things, in brackets or behind a dose.
_JOINED_THINGS = re.compile(r"\+|\bplus\b|\bcombin", re.IGNORECASE)
_ORIGIN = re.compile(r"^(?:EU|US)[- ](?:approved|licensed|sourced)\s+", re.IGNORECASE)
_UNIT = r"(?:mg|mcg|µg|μg|ug|ng|g|gram|milligrams?|kg|ml|l|iu|ui|u|su|du|units?|meq|mmol|gy|ppm|%)"
_DOSE = re.compile(
    rf"(?<![\w-])\d+(?:[.,]\d+)*\s?(?:-|to)?\s?(?:\d+(?:[.,]\d+)*)?\s?{_UNIT}(?![\w-])"
    rf"(?:\s?/\s?(?:\d+\s?)?(?:{_UNIT}|m2|m²|day|d|h|hr|hour|dose)(?!\w))*",
    re.IGNORECASE,
)
_SCHEDULE = re.compile(
    r"(?<!\S)(?:once|twice|thrice|daily|weekly|monthly|every|bid|b\.i\.d\.|tid|t\.i\.d\.|qd\.?"
    r"|q\.d\.|od|qid|qod|q\d+[whd]|prn|\d+\s?(?:x|times)|x\s?\d+|for\s+\d+|\d+\s?(?:days?|weeks?|months?)"
    r"|(?:dose|dosage|schedule|formulation|level)\s?\d+)"
    r"(?!\S)",
    re.IGNORECASE,
)
_FORM = (
    r"(?:(?:film[- ]coated|extended[- ]release|prolonged[- ]release|delayed[- ]release"
    r"|sustained[- ]release|orally disintegrating|prefilled|pre-filled|auto)[- ]?)?"
    r"(?:tablets?|tabs?|capsules?|caps|pills?|injections?|injectable|infusions?|solutions?"
    r"|suspensions?|syrup|cream|ointment|gel|lotion|drops|spray|powder|granules?|syringes?"
    r"|injector|pen|patch|inhaler|nebulizer|vials?|suppository|product)"
)
_ROUTE = (
    r"(?:oral|orally|po|intravenous|intravenously|iv|i\.v\.|subcutaneous|subcutaneously|sc|s\.c\."
    r"|sq|intramuscular|im|i\.m\.|topical|inhaled|inhalation|nasal|intranasal|ophthalmic|eye"
    r"|sublingual|intrathecal|intravitreal|rectal|vaginal|transdermal|bolus)"
)
_TRAILING_FORM = re.compile(rf"(?:\s+for)?\s+(?:{_ROUTE}|{_FORM})$", re.IGNORECASE)
_LEADING_FORM = re.compile(rf"^{_FORM}\s", re.IGNORECASE)
_LEADING_ROUTE = re.compile(rf"^{_ROUTE}\s+", re.IGNORECASE)
# Signs and words that join two things, compare them or begin an explanation.
_JOINT = re.compile(
    r"[+/,;:&|=<>\"“”?*，；]|\s[-–—]\s|(?<!\S)(?:and|or|plus|with|without|versus|vs\.?|then|in|of|for"
    r"|to|by|from|the|a(?=\s)|an|is|as|at|on|no|not|after|before|during|et|und|y|other|targeting"
    r"|targeted)"
    r"(?!\S)",
    re.IGNORECASE,
)
# No substances: comparators, classes, regimens, procedures, mixtures, cells.
_OTHER_THINGS = re.compile(
    r"placebo|sham|vehicle|control|compar|dummy|"
    r"therap|treat|regimen|chemo|radio|standard|usual|routine|conventional|\bcare\b|medication|"
    r"\bdrugs?\b|\bagents?\b|\bdos(?:e|es|age|ing)\b|cohort|\barm\b|\bgroup|\bphase\b|combination|"
    r"vaccin|immunis|immuniz|transplant|surg|procedure|biops|sampl|swab|blood|serum|plasma|\burine|"
    r"stool|faec|fec(?:al|es)|\bskin\b|prick|\btests?\b|assay|questionnaire|measure|\bcollect|draw\b|"
    r"assessment|evaluation|provocation|challenge|imaging|\bscan|"
    r"cells?\b|\bcart?\b|car-|car\d|-t\b|lymphocyte|\btils?\b|graft|\bgene\b|"
    r"umbilical|derived|virus\b|venom|"
    r"extract|allergens?|allergoid|pollen|\bmites?\b|dander|mixture|\bmix\b|inoculate|probiotic|"
    r"\bdiet(?:s|ary)?\b|food|milk|flour|powder|supplement|formula\b|\bsaline|water|"
    r"inhibitors?\b|agonists?\b|antagonists?\b|blockers?\b|steroids?\b|antibod|antibiotic|"
    r"antihist|antiasthm|antifung|antivir|antiemet|analogs?\b|analogues?\b|stimulants?\b|"
    r"diuretics?\b|\bstatins?\b|taxanes?\b|\bplatinum|doublet|triplet|biologics?\b|monoclonal|"
    r"interferons\b|vitamins\b|insulins\b|opioids?\b|corticoids?\b|biotics?\b|\banti-|"
    r"antipyretic|analgesic|anesthe|anaesthe|immunosuppress|"
    r"emollient|moisturi|decoction|\bherbal\b|medicine|diluent|epidural|intrapolyp|wash\b|"
    r"compound|seeding|phoresis|\bteas?\b|device|conditioning|prophyla|high|low\b|open label|"
    r"\b(?:oit|slit|scit)\b",
    re.IGNORECASE,
)
# Regimens of several drugs by their initials; a hyphen or a slash joins them ("R-CHOP").
_REGIMENS = (
    "FOLFOX FOLFIRI FOLFOXIRI FOLFIRINOX MFOLFOX6 MFOLFOX CAPOX XELOX CAPEOX XELIRI SOX FLOT DCF "
    "CHOP CVP COP EPOCH BEAM ABVD BEACOPP ICE DHAP ESHAP GEMOX HYPERCVAD FLAG FLAGIDA CMF FEC AC "
    "TC TCH MVAC BEP EP VAC IE PCV LABA LAMA ICS SABA PPI NSAID NSAIDS ACE ARB BSC SOC ADT ART "
    "HAART PRED TKI ICI SCIT SLIT OIT EPIT ILIT RIT"
)
_NAME = re.compile(r"[^\W_][\w'’.-]*(?: [\w'’.-]+){0,3}")
_MIN_REGIMEN_LETTERS = 4  # by which a regimen is recognised inside of a name


# What a substance is compared with, and nothing besides.
_COMPARATOR = re.compile(
    r"(?:placebos?|sham|vehicle|saline|no (?:treatment|intervention))\b|.*\bplacebo$", re.IGNORECASE
)
_SEVERAL = re.compile(r"[+/,;&]|\b(?:or|and|with|plus)\b", re.IGNORECASE)


def is_comparator(printed_name: str) -> bool:
    """Whether an intervention is what others are compared with, such as "Placebo to omalizumab",
    and holds no substance that is studied."""
    name = _BRACKETS.sub("", printed_name).strip()
    return bool(_COMPARATOR.match(name)) and not _SEVERAL.search(name)


def name_substance(printed_name: str) -> str:
    """The part of an intervention's name that names one substance, as printed, trade names and
    codes included; "" where it does not plainly name one."""
    if _JOINED_THINGS.search(printed_name):
        return ""
    name = _BRACKETS.sub("", _TRADEMARKS.sub("", printed_name))
    name = _leave_out_amounts(" ".join(name.split()))
    name = _LEADING_ROUTE.sub("", _ORIGIN.sub("", name))
    while name != (shorter := _TRAILING_FORM.sub("", name).strip(" .-")):
        name = shorter
    return name if _is_plain_name(name) else ""


def _leave_out_amounts(name: str) -> str:
    """The name as far as its first dose or schedule; behind a dose that it begins with."""
    dose = _DOSE.match(name)
    if dose:
        name = name[dose.end() :].strip()
    for pattern in (_DOSE, _SCHEDULE):
        amount = pattern.search(name)
        if amount:
            name = name[: amount.start()].strip(" ,-")
    return name


def _is_plain_name(name: str) -> bool:
    if not _NAME.fullmatch(name) or _JOINT.search(name) or _OTHER_THINGS.search(name):
        return False
    if _TRAILING_FORM.search(f" {name}") or _LEADING_FORM.search(name):
        return False
    # A number alone names nothing.
    return any(map(str.isalpha, name)) and not _is_regimen(name)


def _is_regimen(name: str) -> bool:
    regimens = set(_REGIMENS.split())
    words = re.split("[ -]", name.upper())
    long_words = {word for word in words if len(word) >= _MIN_REGIMEN_LETTERS}
    return name.upper() in regimens or not regimens.isdisjoint(long_words)
