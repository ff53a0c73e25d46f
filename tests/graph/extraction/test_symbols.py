"""Which gene symbols a text uses for something else."""

import pytest

from medr_ray.graph.extraction.symbols import find_foreign_symbols


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("Dendrobium stem extract (DSE) was fed.", "DSE"),
        ("Microvascular disease (MVD) is common.", "MVD"),
        ("The effect of D. souliei ethyl acetate extract (DSE) was seen.", "DSE"),
        ("Cell-free hemoglobin (CFH) levels rose.", "CFH"),
    ],
)
def test_a_symbol_that_abbreviates_no_molecule_is_no_gene(text: str, symbol: str) -> None:
    assert find_foreign_symbols(text, [symbol]) == {symbol}


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("Vascular endothelial growth factor (VEGF) was high.", "VEGF"),
        ("Leucine-rich repeat kinase 2 (LRRK2) mutations.", "LRRK2"),
        ("The gene was seen in patients (TP53) again.", "TP53"),
        ("Dendrobium stem extract was fed, and DSE fell.", "DSE"),
    ],
)
def test_a_symbol_of_a_molecule_or_without_a_definition_stays(text: str, symbol: str) -> None:
    assert find_foreign_symbols(text, [symbol]) == frozenset()
