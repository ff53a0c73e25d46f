"""Ages of onset in years, as the Human Phenotype Ontology defines its onset terms (the children of
HP:0003674)."""

# (first, last) age in years, before birth negative. The upper bounds lie just below the next
# term's lower bound, so that neighbouring terms do not overlap.
_YEARS: dict[str, tuple[float, float]] = {
    "HP:0030674": (-0.77, -0.001),  # antenatal: before birth
    "HP:0011460": (-0.77, -0.56),  # embryonal: up to the 10th week of gestation
    "HP:0011461": (-0.56, -0.001),  # fetal: from 11 weeks of gestation to birth
    "HP:0034199": (-0.56, -0.5),  # late first trimester
    "HP:0034198": (-0.5, -0.23),  # second trimester
    "HP:0034197": (-0.23, -0.001),  # third trimester
    "HP:0003577": (0.0, 0.0),  # congenital: present at birth
    "HP:0003623": (0.0001, 0.077),  # neonatal: the first 28 days
    "HP:0003593": (0.0771, 0.999),  # infantile: from 28 days to one year
    "HP:0011463": (1.0, 4.999),  # childhood: one to five years
    "HP:0003621": (5.0, 15.999),  # juvenile: five to fifteen years
    "HP:0410280": (0.0, 15.999),  # pediatric: before the age of 16
    "HP:0003581": (16.0, 120.0),  # adult: from 16 years
    "HP:0011462": (16.0, 39.999),  # young adult: 16 to 40 years
    "HP:0025708": (16.0, 18.999),  # early young adult
    "HP:0025709": (19.0, 24.999),  # intermediate young adult
    "HP:0025710": (25.0, 39.999),  # late young adult
    "HP:0003596": (40.0, 59.999),  # middle age
    "HP:0003584": (60.0, 120.0),  # late
}


def onset_years(term_id: str) -> tuple[float, float] | None:
    """The (earliest, latest) age of an onset term in years, before birth negative; None for a term
    that is not an age."""
    return _YEARS.get(term_id)
