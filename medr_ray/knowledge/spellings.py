"""British and American spellings of one word, by the morphemes in which they differ.

``fold_spelling`` gives both the same spelling. Guaranteed: it makes no two different words equal.
A rule therefore names a morpheme with enough of its surroundings ("haem", "oestr", "tumour") and
never two letters alone, which would make "does" and "des" one word, and "filled" and "filed".

Words of different roots ("paracetamol", "acetaminophen") are not spellings of one word.
``list_spellings`` gives the other spellings of a word, for those who look words up as written.
"""

import functools
import re
from collections.abc import Sequence

_MIN_CHARACTERS = 4  # of a word that has two spellings
_MAX_CHARACTERS = 40  # longer runs of letters are no words

# Whole words, without their plural s.
_AMERICAN_WORDS = {
    "aluminium": "aluminum",
    "artefact": "artifact",
    "centred": "centered",
    "defence": "defense",
    "disc": "disk",
    "gramme": "gram",
    "kilogramme": "kilogram",
    "licence": "license",
    "milligramme": "milligram",
    "offence": "offense",
    "pretence": "pretense",
    "programme": "program",
}
# Ligatures that became one letter.
_LIGATURES = (
    ("haem(?=s?$)", "heme"),
    ("haem", "hem"),
    ("aemi(?=(?:a|as|c|cs|cus|cally)$)", "emi"),  # anaemia, septicaemic
    ("aesth", "esth"),
    ("aeti(?=olog|opath|ogen|c$)", "eti"),
    ("amoeb", "ameb"),
    ("rrhoe", "rrhe"),
    ("pnoe", "pne"),
    ("p[ao]eni(?=(?:a|as|c)$)", "peni"),  # leucopaenia
    ("caec(?=a$|al|um|ec|it|o)", "cec"),
    ("caesar[ei]an", "cesarean"),
    ("cesarian", "cesarean"),
    ("caesium", "cesium"),
    ("c[ao]erul(?=e|o)", "cerul"),
    ("coeli(?=ac|o)", "celi"),
    ("coelom", "celom"),
    ("(?<=[a-z]{2})coele(?=s?$)", "cele"),  # omphalocoele
    ("defaec", "defec"),
    ("faec(?=al|es$|ul)", "fec"),
    ("f[ao]et(?=al|us|o|id)", "fet"),
    ("gynaec", "gynec"),
    ("paed(?=iatr|ic|ist|o)", "ped"),
    ("homoeo", "homeo"),
    # gastro-oesophageal as one word; "gastroesophageal" has the o of "gastro"
    ("o(?=oe(?:dem|soph|str))", ""),
    ("(?<!angi)(?<!leuk)oedem", "edem"),
    (
        "(?<!bronch)(?<!gastr)(?<!hiat)(?<!laryng)(?<!pharyng)(?<!retr)(?<!trache)oesoph",
        "esoph",
    ),
    ("(?<!fluor)(?<!hydr)(?<!phyt)(?<!pr)(?<!xen)oestr(?=adi|al|en|iol|o|us)", "estr"),
    ("oenanth", "enanth"),
    ("laev(?=o|ul)", "lev"),
    ("naev(?=i$|o|us)", "nev"),
    ("paeon(?=i|ol|y)", "peon"),
    ("palaeo", "paleo"),
    ("phaeo(?=chrom|mel)", "pheo"),
    ("praevia", "previa"),
    ("praecord", "precord"),
    ("sphaero(?=cyt)", "sphero"),
    ("chimaer", "chimer"),
    ("copoeia", "copeia"),  # pharmacopoeia
    ("manoeuvr(?:e(?=s?$))?", "maneuver"),
    ("mediaeval", "medieval"),
)
_OTHER_MORPHEMES = (
    # leucocyte and leukemia, but leucine, leucovorin
    ("leuc(?=emi)", "leuk"),
    (
        "leuco(?=blast|cid|cyt|derm|dystroph|encephal|erythro|kerat|malac|nych|peni|plak|poie|rrh"
        "|sarcom|sperm|stas|trien)",
        "leuko",
    ),
    ("(flav|neighb|behavi|endeav|demean)our", r"\1or"),
    ("(tum|col|lab|fav|hum|arb|vap|vig|rum|sav|hon|arm)our", r"\1or"),
    ("(^|mal|de)odour", r"\1odor"),
    ("(anal|catal|dial|electrol|hydrol|paral|pyrol)ys(?=(?:e|ed|er|ers|ing|able)$)", r"\1yz"),
    ("(fib|lit|tit|goit|theat|lust|sab|calib|cent)re(?=s?$)", r"\1er"),
    ("(?<=fib)re(?=glass|optic|scop)", "er"),
    ("(^|milli|centi|kilo|micro|nano)metre(?=s?$)", r"\1meter"),
    ("sulph", "sulf"),
    ("(anal|catal|dial|homol|monol|orthol|paral)ogue(?=s?$)", r"\1og"),
    (
        "(cancel|channel|counsel|fuel|funnel|label|level|marshal|model|panel|signal|total|travel"
        r"|trial|tunnel|unravel|equal)l(?=(?:ed|ing|er|ers|or|ors)$)",
        r"\1",
    ),
    ("mould", "mold"),
    ("^grey(?=s?$)", "gray"),
    ("ageing$", "aging"),
    ("neurone(?=s?$)", "neuron"),
    ("aneurism", "aneurysm"),
    ("practis(?=(?:e|ed|er|es|ing)$)", "practic"),
    ("tranquillis", "tranquilis"),
)
_AMERICAN_MORPHEMES = (*_LIGATURES, *_OTHER_MORPHEMES)
_VERB_ENDINGS = "(?:e|ed|es|er|ers|ing|able|ations?)$"
# A verb in -ise has three letters and a vowel before that: "prise" and "prize" are two words.
_VERB = re.compile(
    r"(?P<stem>[a-z]*[aeiouy][a-z]*(?<=[a-z]{3})(?<![aouw]))is(?=" + _VERB_ENDINGS + ")"
)
# Words with the ending that are no verbs in -ize.
_OTHER_ISE_WORD = re.compile(
    "(?:advert|compr|comprom|enterpr|exerc|expert|franch|improv|merchand|parad|prec|prem|repr|sch"
    "|sunr|superv|surm|surpr|telev|treat|upr|^adv|^appr|^ar|^conc|^dem|^desp|^dev|^exc|^fundra"
    "|^inc|^lor|^prom|^rev|^tort)is" + _VERB_ENDINGS
)


class _Respelling:
    """Replaces morphemes in a word, one after the other; most words have none of them."""

    def __init__(self, morphemes: Sequence[tuple[str, str]]) -> None:
        self._any = re.compile("|".join(pattern for pattern, _ in morphemes))
        self._morphemes = [(re.compile(pattern), spelling) for pattern, spelling in morphemes]

    def apply(self, word: str) -> str:
        if self._any.search(word):
            for pattern, spelling in self._morphemes:
                word = pattern.sub(spelling, word)
        return word


_TO_AMERICAN = _Respelling(_AMERICAN_MORPHEMES)


@functools.lru_cache(maxsize=200_000)
def fold_spelling(word: str) -> str:
    """A word in lower case with the British and American spellings made equal: the American one,
    where both exist.

    Words with figures or other letters than a to z are left as they are: they are symbols or
    foreign. The result is for comparison only.
    """
    is_word = word.isascii() and word.isalpha()
    if not is_word or not _MIN_CHARACTERS <= len(word) <= _MAX_CHARACTERS:
        return word
    singular = word.removesuffix("s")
    if singular in _AMERICAN_WORDS:
        return _AMERICAN_WORDS[singular] + word[len(singular) :]
    word = _TO_AMERICAN.apply(word)
    return word if _OTHER_ISE_WORD.search(word) else _VERB.sub(r"\g<stem>iz", word)


# American morphemes and the British ones. A rule may give a word that nobody writes; that is looked
# up in vain.
_BRITISH_MORPHEMES = (
    ("^heme(?=s?$)", "haem"),
    ("^hem(?=a[^l]|in|o)|(?<=[aio])hem(?=agglut|at|oglob|oly)", "haem"),
    ("(?<=[a-z])em(?=ias?$)|(?<=[a-z]{2})(?<!st)(?<!d)em(?=ic$)", "aem"),
    ("esth(?=e[st])", "aesth"),
    ("^eti(?=ol|opath)", "aeti"),
    ("ameb", "amoeb"),
    ("rrhe(?=a|ic)", "rrhoe"),
    ("pne(?=as?$|ic$)", "pnoe"),
    ("cec(?=al|um)", "caec"),
    ("cesarean", "caesarean"),
    ("^cesium", "caesium"),
    ("celiac", "coeliac"),
    ("(?<=[a-z]{2}o)cele(?=s?$)", "coele"),
    ("fec(?=al|es$)", "faec"),
    ("fet(?=al|o[ps]|us)", "foet"),
    ("gynec", "gynaec"),
    ("ped(?=iatr)|(?<=^ortho)ped", "paed"),
    ("homeo(?=stas|path)", "homoeo"),
    ("levul", "laevul"),
    ("peni(?=as?$)", "paeni"),
    ("(?<!o)edem(?=a)", "oedem"),
    ("(?<!o)esoph", "oesoph"),
    ("(?<!o)estr(?=adi|iol|ogen|one|us$)", "oestr"),
    ("^nev(?=i$|o|us$)", "naev"),
    ("^pheo(?=chrom)", "phaeo"),
    ("^previa$", "praevia"),
    ("leuko(?=cyt|derm|dystroph|encephal|peni|plak|rrh)", "leuco"),
    ("tumor", "tumour"),
    ("color(?!ect)", "colour"),
    ("(flav|neighb|behavi)or", r"\1our"),
    ("^(od|vap)or", r"\1our"),
    ("^(lab|hum)or(?=s?$)", r"\1our"),
    ("(?<=[a-z]{3})iz(?=(?:e|ed|er|ing|ations?)$)", "is"),
    ("(anal|dial|hydrol|paral)yz(?=(?:e|ed|er|ing)$)", r"\1ys"),
    ("(fib|lit|tit|goit|cent)er(?=s?$)", r"\1re"),
    ("^fiber(?=optic)", "fibre"),
    ("sulf", "sulph"),
    ("(anal|homol)og(?=s?$)", r"\1ogue"),
    ("(label|model|signal)(?=(?:ed|ing)$)", r"\1l"),
    ("^mold", "mould"),
    ("^gray$", "grey"),
    ("^disk(?=s?$)", "disc"),
    ("neuron(?=s?$)", "neurone"),
    ("^aluminum$", "aluminium"),
)
_TO_BRITISH = _Respelling(_BRITISH_MORPHEMES)


@functools.lru_cache(maxsize=200_000)
def list_spellings(word: str) -> tuple[str, ...]:
    """The other spellings of a word in lower case, the American one first."""
    american = fold_spelling(word)
    candidates = dict.fromkeys((american, _TO_BRITISH.apply(word), _TO_BRITISH.apply(american)))
    return tuple(
        spelling
        for spelling in candidates
        if spelling != word and fold_spelling(spelling) == american
    )
