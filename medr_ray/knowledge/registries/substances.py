"""Names of substances, and the active moiety that a name stands for.

The active moiety is the molecule without those parts that make it a salt, an ester, a hydrate or
another derivative that is not bound to it for good (21 CFR 314.3). Here it is found in the name, as
the FDA, the USAN and the INN build names: the moiety first, then its esters, counter-ions and
water ("TENOFOVIR DISOPROXIL FUMARATE", "ESOMEPRAZOLE MAGNESIUM TRIHYDRATE").

- Words of closed lists are taken from the end, one after the other, as long as what is left can
  be a drug: "sodium chloride", "magnesium sulfate", "dimethyl fumarate" and "chloral hydrate" are
  whole, for a metal or a radical is none.
- A metal before one word is a counter-ion like one behind it: "sodium valproate" is "valproate
  sodium".
- A phosphate of a nucleoside is a substance of its own ("adenosine triphosphate").
- A name with a slash is a combination ("calcium/cholecalciferol") and stays whole.
- Four letters behind a hyphen that the FDA gives a biological product ("infliximab-dyyb") are not
  of the core name.
- Parts that are bound for good stay: "triamcinolone acetonide", "isosorbide dinitrate",
  "homatropine methylbromide".

A salt or an ester may be a drug of its own in a vocabulary ("medroxyprogesterone acetate").
``list_moiety_names`` therefore gives every step, from the whole name to the moiety, and
``match_substance`` takes the first that the vocabulary has. What it has synonyms for (INN and USAN
names, "paracetamol" and "acetaminophen") it decides; no rule of names does.
"""

import re
from collections.abc import Iterable, Mapping

from medr_ray.knowledge.name_normalization import fold_name

# Other names of counter-ions.
_WORDS = {
    "benzenesulfonate": "besylate",
    "besilate": "besylate",
    "camsilate": "camsylate",
    "edisilate": "edisylate",
    "embonate": "pamoate",
    "esilate": "esylate",
    "hbr": "hydrobromide",
    "hcl": "hydrochloride",
    "isetionate": "isethionate",
    "mesilate": "mesylate",
    "methanesulfonate": "mesylate",
    "metilsulfate": "methylsulfate",
    "napsilate": "napsylate",
    "tosilate": "tosylate",
    "trometamol": "tromethamine",
}
_COUNTED = r"(?:mono|di|tri|tetra|penta|hemi|bi|sesqui)?"
# Water and other solvents, and how a substance is made.
_WATER = re.compile(
    r"(?:mono|di|tri|tetra|penta|hexa|hepta|hemi|sesqui|hemipenta)?hydrate|anhydrous|ethanolate"
    r"|propanediol|recombinant|synthetic|(?:ultra)?micro(?:crystalline|size)|macrocrystalline"
)
_SALTS = re.compile(
    rf"{_COUNTED}(?:acetate|adipate|ascorbate|aspartate|besylate|calcium|camsylate|carbonate|"
    rf"citrate"
    r"|edisylate|esylate|fumarate|gluceptate|gluconate|hippurate|hydrobromide|hydrochloride"
    r"|glucuronate|isethionate|lactate|lactobionate|magnesium|malate|maleate|meglumine|mesylate|"
    r"methylsulfate"
    r"|napsylate|oxalate|pamoate|phosphate|potassium|saccharate|sodium|stearate|succinate|sulfate"
    r"|tannate|tartrate|tosylate|xinafoate|zinc)"
    r"|benzoate|bromide|chloride|etiprate|hyclate|iodide|nitrate|polacrilex|polistirex"
    r"|polygalacturonate|salicylate|strontium|sulfosalicylate|terephthalate|trifenatate|triflutate"
)
# Drugs themselves, some of them: "procaine hydrochloride".
_BASES = re.compile(
    "arginine|benzathine|diethylamine|diolamine|epolamine|erbumine|lysine|olamine|procaine"
    "|trolamine|tromethamine"
)
_ESTERS = re.compile(
    r"(?:di)?(?:butyrate|propionate|valerate)|axetil|caproate|cilexetil|cypionate|decanoate"
    r"|(?:dipi|pi)voxil|disoproxil|enanthate|estolate|etabonate|etexilate|ethylsuccinate|furoate"
    r"|kamedoxomil|lauroxil|marboxil|medoxomil|mofetil|palmitate|phenpropionate|phenylpropionate"
    r"|pivalate|probutate|proxetil|tebutate|undecanoate"
)
_COUNTED_PHOSPHATE = re.compile(r"(?:mono|di|tri|tetra|penta)phosphate")
_NUCLEOSIDE = re.compile(r"\w*(?:[aio]nosine|adenosine|cytosine|idine|arabine|thiamine)")
_TWO_WORDS = frozenset(("dimethyl sulfoxide", "fumaric acid", "resin complex"))
# The form of an acid that turns light: "S-malate".
_FORMS_OF_ACIDS = frozenset(("d", "l", "r", "s"))
_ACIDS_WITH_FORMS = frozenset(("aspartate", "lactate", "malate", "tartrate"))
# No drug by itself: metals and other cations, acids and what is said of them.
_PARTS = frozenset(
    [
        "aluminum",
        "ammonium",
        "amyl",
        "antimony",
        "barium",
        "basic",
        "bismuth",
        "cadmium",
        "cerium",
        "cesium",
        "chloral",
        "chromic",
        "chromium",
        "cobalt",
        "copper",
        "cupric",
        "dibasic",
        "ferric",
        "ferrous",
        "gadolinium",
        "gallium",
        "gold",
        "hydrogen",
        "indium",
        "iron",
        "lanthanum",
        "lithium",
        "manganese",
        "mercuric",
        "mercury",
        "monobasic",
        "nickel",
        "platinum",
        "rubidium",
        "samarium",
        "selenium",
        "silver",
        "stannous",
        "technetium",
        "terpin",
        "thallium",
        "thallous",
        "titanium",
        "tribasic",
        "xenon",
        "yttrium",
    ]
)
_RADICAL = re.compile(r"\w*(?:methyl|ethyl|propyl|butyl|benzyl|phenyl)")
_LEADING_METALS = frozenset(("calcium", "magnesium", "potassium", "sodium"))
# Anions that make no drug by themselves and are no counter-ions of one either.
_ANIONS = frozenset(
    [
        "bicarbonate",
        "bisulfite",
        "borate",
        "chromate",
        "fluoride",
        "hydroxide",
        "hypochlorite",
        "metabisulfite",
        "molybdate",
        "nitrite",
        "oxide",
        "perchlorate",
        "peroxide",
        "selenite",
        "silicate",
        "sulfide",
        "sulfite",
        "thiosulfate",
        "trisilicate",
    ]
)
# Four letters without a meaning, so no Greek letter.
_BIOLOGICAL_SUFFIX = re.compile(r"(?<=[a-z]{4})-(?!alfa|beta|zeta|iota)[a-z]{4}\s*$")
# Ends of the names of biological products.
_BIOLOGICAL = re.compile(
    "(?:alfa|ase|aspart|beta|cept|deruxtecan|dotin|emtansine|fusp|germin|glargine|insulin|kin"
    "|leukin|lispro|mab|ozogamicin|pegol|poetin|stim|tox|toxina?|tropin)$"
)
_CODE = re.compile(r"\s*\([A-Z]{1,5}[- ]?\d+\)\s*$")  # the maker's: "LANADELUMAB (SHP643)"
_PACKAGING = frozenset(("kit",))


def fold_substance_name(name: str) -> str:
    """What is equal for the ways to write one substance, salt and water included."""
    return " ".join(_split_words(name)) or fold_name(name)


def list_moiety_names(name: str) -> tuple[str, ...]:
    """Folded names from the whole one to that of the active moiety."""
    names = [fold_substance_name(name)]
    if "/" in name:
        return tuple(names)
    if _names_product(name):
        names.append(fold_substance_name(_BIOLOGICAL_SUFFIX.sub("", name.lower())))
    words = names[-1].split()
    while count := _count_last_part(words):
        words = words[:-count]
        names.append(" ".join(words))
    return tuple(names)


def moiety(name: str) -> str:
    """The folded name of the active moiety: "metformin" for "METFORMIN HYDROCHLORIDE"."""
    return list_moiety_names(name)[-1]


def name_without_salt(name: str) -> str:
    """The folded name without counter-ions, water and the four letters of a product. Esters stay:
    without a vocabulary nothing tells whether they are drugs of their own."""
    words = fold_substance_name(name).split()
    if "/" in name:
        return " ".join(words)
    if _names_product(name):
        words = list_moiety_names(name)[1].split()
    while (count := _count_last_part(words)) and not _ESTERS.fullmatch(words[-1]):
        words = words[:-count]
    return " ".join(words)


def match_substance(names: Iterable[str], ids_by_name: Mapping[str, str]) -> str:
    """The id of the first name that is in a vocabulary as it is, else without water, counter-ions
    and esters one by one; "" for none. ``ids_by_name`` has folded names (``fold_name``)."""
    steps = [list_moiety_names(name) for name in names]
    for moiety_names in steps:
        for moiety_name in moiety_names:
            if moiety_name in ids_by_name:
                return ids_by_name[moiety_name]
    return ""


def _names_product(name: str) -> bool:
    """Whether a name has four letters that the FDA has given a biological product."""
    core = _BIOLOGICAL_SUFFIX.sub("", name.lower())
    return "/" not in name and core != name.lower() and bool(_BIOLOGICAL.search(core))


def _count_last_part(words: list[str]) -> int:
    """The number of words at the end that name a solvent, a counter-ion or an ester of the drug
    before them; 0 for none. A compound that is named from its metal is whole."""
    if len(words) < 2 or words[0] in _PARTS or words[0] in _LEADING_METALS:
        return 0
    if len(words) > 2 and " ".join(words[-2:]) in _TWO_WORDS:
        return 2
    if _COUNTED_PHOSPHATE.fullmatch(words[-1]) and _NUCLEOSIDE.fullmatch(words[-2]):
        return 0
    is_drug_before = not all(map(_is_part, words[:-1]))
    is_last_part = _is_appended(words[-1]) or bool(_BASES.fullmatch(words[-1]))
    return 1 if is_drug_before and is_last_part else 0


def _is_appended(word: str) -> bool:
    return any(pattern.fullmatch(word) for pattern in (_WATER, _SALTS, _ESTERS))


def _is_part(word: str) -> bool:
    """Whether a word names a part of a compound and no drug."""
    is_listed = word in _PARTS or word in _LEADING_METALS or word in _ANIONS
    return is_listed or _is_appended(word) or word.isdigit() or bool(_RADICAL.fullmatch(word))


def _split_words(name: str) -> list[str]:
    """The folded words, in the order in which names of salts are printed."""
    name = _CODE.sub("", name)
    parts = [part for part in name.split(",") if part.strip()]
    if len(parts) > 1 and not any(map(str.isdigit, name)):
        # "ESTROGENS, CONJUGATED", but "GRISEOFULVIN, ULTRAMICROSIZE"
        added = [part for part in parts[1:] if _is_appended(part.strip().lower())]
        others = [part for part in parts if part not in added]
        name = " ".join([*reversed(others), *added])
    words = [_WORDS.get(word, word) for word in fold_name(name).split()]
    words = [word for word in words if word[0].isalnum() and word not in _PACKAGING]
    if len(words) > 2 and words[-1] in _ACIDS_WITH_FORMS and words[-2] in _FORMS_OF_ACIDS:
        del words[-2]
    if len(words) == 2 and words[0] in _LEADING_METALS and not _is_part(words[1]):
        words.reverse()
    return words
