"""A few entities of every type that questions name, as real records print them."""

from medr_ray.core.records import LiteralValue
from medr_ray.graph.facts.fact_table import FactTable, StatedFact, TableEntity
from medr_ray.graph.facts.registry_relations import make_value_id

ENTITIES = {
    "NCT:NCT05246267": TableEntity("trial", ("A Study of Avapritinib", "NCT05246267")),
    "NCT:NCT02175381": TableEntity("trial", ("NCT02175381",)),
    "COMPANY:pfizer": TableEntity("company", ("PFIZER", "PFIZER INC")),
    "COMPANY:genentech": TableEntity("company", ("Genentech, Inc.", "GENENTECH INC")),
    "INSTITUTION:boston childrens hospital": TableEntity(
        "institution", ("Boston Children's Hospital",)
    ),
    "DRUGBANK:DB15233": TableEntity("drug", ("Avapritinib", "AVAPRITINIB")),
    "DRUGBANK:DB00958": TableEntity("drug", ("Carboplatin", "CARBOPLATIN")),
    "SUBSTANCE:ak112": TableEntity("substance", ("AK112",)),
    "OMIM:310600": TableEntity("disease", ("Norrie disease", "NORRIE DISEASE")),
    "OMIM:600142": TableEntity("disease", ("CARASIL syndrome",)),
    "HP:0002099": TableEntity("phenotype", ("Asthma",)),
    "GENE:FGFR3": TableEntity("gene", ("FGFR3",)),
    "GENE:NDP": TableEntity("gene", ("NDP",)),
    "HP:0000006": TableEntity("value", ("Autosomal dominant inheritance",)),
    "HP:0001419": TableEntity("value", ("X-linked recessive inheritance",)),
    "HP:0003577": TableEntity("value", ("Congenital onset",)),
    "PMID:34086808": TableEntity("paper", ("Placental outcomes of phthalate exposure.",)),
    "PMID:19479138": TableEntity("paper", ()),
    "FDA:NDA021234": TableEntity("application", ("NDA021234",)),
    "FDA:BLA125084": TableEntity("application", ("BLA125084",)),
    "PATENT:US8048035": TableEntity("patent", ("8048035",)),
    "JOURNAL:nature": TableEntity("journal", ("Nature",)),
    "PERSON:PMID:1/tapan kadia": TableEntity("person", ("Tapan M Kadia",)),
    "LABEL:1": TableEntity("label", ("Piroxicam capsules",)),
    "PATENT:US9493470": TableEntity("patent", ("9493470",)),
    "PRODUCT:NDA021234/001": TableEntity("product", ("Vabomere",)),
}
CATEGORIES = ("E", "E*", "A", "A[HD]", "STANDARD", "1-9 / 100 000", "PHASE2", "Childhood")


def build_worded_table() -> FactTable:
    """The entities, with a fact for each category."""
    facts = [
        StatedFact(
            f"f{number}",
            "DRUGBANK:DB15233",
            "liver_injury_likelihood",
            make_value_id(LiteralValue("category", category)),
            None,
            "",
            (),
            "livertox",
            "avapritinib",
        )
        for number, category in enumerate(CATEGORIES)
    ]
    return FactTable.build(facts, ENTITIES)
