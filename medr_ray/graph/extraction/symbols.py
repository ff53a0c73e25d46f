"""Gene symbols that a text uses for something else.

Short symbols are abbreviations of other things as well: SET, FOS, DSE. Where a text defines one in
brackets behind a phrase of that meaning ("Dendrobium stem extract (DSE)"), and the phrase names no
molecule, the symbol is no gene in that text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from medr_ray.entities.matching import Mention
from medr_ray.knowledge.predicates import GENE

# Words by which the long name of a gene or its product is recognised.
_MOLECULE = re.compile(
    r"protein|receptor|factor|\b(?!disease|phase|base|case|release)\w{3,}ase\b|gene\b|"
    r"interleukin|interferon|channel|transporter|antigen|"
    r"homolog|ligand|subunit|hormone|-like|domain|box\b|oncogene|kine\b|"
    r"peptide|molecule|suppressor|inhibitor|regulator|enhancer|mediator|binding|family|member|"
    r"repeat|element|growth|cadherin|integrin|keratin|tubulin|myosin|mucin|exchanger|cluster|"
    r"transcript|RNA|adapter|adaptor|enzyme|synthetase|carrier|polypeptide|"
    r"\b(?:brca|braf|p53|ras|myc)\b",
    re.IGNORECASE,
)
_LONG_FORM_WORDS = 7  # before a bracket
_BRACKET = re.compile(
    # "D. souliei extract (DSE)": the point of an initial ends no sentence.
    rf"((?:(?:[\w'’/-]+|\b[A-Z]\.) ){{1,{_LONG_FORM_WORDS}}})"
    r"[(\[]([A-Z][A-Za-z0-9-]{1,9})[;,)\]]"
)


def drop_foreign_symbols(
    text: str, mentions: Sequence[Mention], types: Mapping[str, str]
) -> list[Mention]:
    """The mentions without those of genes by a symbol that the text defines as something else."""
    symbols = {
        text[mention.start : mention.end]
        for mention in mentions
        if types.get(mention.concept_id) == GENE
    }
    foreign = find_foreign_symbols(text, symbols) if symbols else frozenset()
    return [
        mention
        for mention in mentions
        if types.get(mention.concept_id) != GENE or text[mention.start : mention.end] not in foreign
    ]


def find_foreign_symbols(text: str, symbols: Iterable[str]) -> frozenset[str]:
    """Those of ``symbols`` that the text defines as an abbreviation of no molecule."""
    gene_symbols = frozenset(symbols)
    return frozenset(
        match[2]
        for match in _BRACKET.finditer(text)
        if match[2] in gene_symbols and _is_foreign(match[1].strip(), match[2])
    )


def _is_foreign(before: str, symbol: str) -> bool:
    long_form = _find_long_form(before, symbol)
    return long_form is not None and _MOLECULE.search(long_form) is None


def _find_long_form(before: str, symbol: str) -> str | None:
    """The words that ``symbol`` abbreviates, at the end of ``before``; None where it does not: its
    letters occur there in order, searched from the end, and the first begins a word (Schwartz and
    Hearst, Pac. Symp. Biocomput. 2003)."""
    place = len(before)
    letters = [letter for letter in symbol.lower() if letter.isalnum()]
    for number, letter in enumerate(reversed(letters), 1):
        place = before.lower().rfind(letter, 0, place)
        is_first = number == len(letters)
        while is_first and place > 0 and before[place - 1].isalnum():
            place = before.lower().rfind(letter, 0, place)
        if place < 0:
            return None
    return before[place:]
