"""Reading by cues alone: what the grammar writes, the words of others, and other meanings."""

from collections.abc import Iterator

import pytest
from support.rewrites import REWRITES, plan_of, rewrites_table
from support.worded_facts import build_worded_table

from medr_ray.core.records import Language
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.questions.plans import PlanNode, name
from medr_ray.questions.shapes import SHAPES
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.wording.back_reading import CueReading, compare
from medr_ray.questions.wording.grammar import write_question
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.name_finding import NameFinder

LANGUAGES: tuple[Language, ...] = ("en", "zh")
FORMS = 4
DAY = "2019-07-01"
BOOK_DAY = "2025-04-08"
NAMES = {
    "trial": ("NCT:NCT05246267", "NCT:NCT02175381"),
    "paper": ("PMID:34086808",),
    "company": ("COMPANY:pfizer",),
    "drug": ("DRUGBANK:DB15233", "DRUGBANK:DB00958"),
    "disease": ("OMIM:310600", "OMIM:600142"),
    "gene": ("GENE:NDP",),
    "patent": ("PATENT:US9493470",),
    "value": ("HP:0000006",),
    "category": ("VALUE:category/E",),
    "date": (f"VALUE:date/{DAY}",),
    "year": ("VALUE:date/2012",),
}
OUTCOME, LETTER, ACRONYM = "VALUE:text/overall survival", "VALUE:text/T", "VALUE:text/ESSENCE"
CHAINS = sorted({chain for shape in SHAPES.values() for chain in shape.chains})


def is_read_by_cues(chain: tuple[str, ...]) -> bool:
    return all(STEP_KINDS[kind].cues.english for kind in chain)


def list_names(kind: str) -> Iterator[PlanNode]:
    """Named values for the inputs of a step, each once."""
    inputs = STEP_KINDS[kind].inputs
    for place, step_type in enumerate(inputs):
        if step_type == "text":
            is_letter = inputs.count("text") > 1 and place == len(inputs) - 1
            yield name(LETTER if is_letter else ACRONYM if kind == "trial_by_acronym" else OUTCOME)
        else:
            yield name(NAMES[step_type][inputs[:place].count(step_type)])


def make_plan(chain: tuple[str, ...]) -> PlanNode:
    node = PlanNode(chain[0], tuple(list_names(chain[0])))
    for kind in chain[1:]:
        # What a step takes beside the one before it is the date of the registry's file.
        dates = [name(NAMES["date"][0])] * (len(STEP_KINDS[kind].inputs) - 1)
        node = PlanNode(kind, (node, *dates))
    return node


def make_table() -> FactTable:
    """The worded facts, with an acronym that a trial may be called by."""
    table = build_worded_table()
    fact = StatedFact(
        "acronym", NAMES["trial"][0], "trial_acronym", ACRONYM, None, "", (), "clinical_trials", ""
    )
    return FactTable.build([fact], table.entities)


TABLE = make_table()
MENTIONS: dict[Language, Mentions] = {language: Mentions(TABLE, language) for language in LANGUAGES}


@pytest.mark.parametrize("as_of", ["", DAY])
def test_the_cues_read_what_the_grammar_writes(as_of: str) -> None:
    finder = NameFinder(TABLE, MENTIONS["en"], "en")
    different = []
    for chain in filter(is_read_by_cues, CHAINS):
        plan = make_plan(chain)
        for form in range(FORMS):
            text = write_question(plan, MENTIONS["en"], "en", form, as_of)
            difference = compare(CueReading(text, finder.find(text), "en").read(), plan, as_of)
            if difference:
                different.append((text, difference))
    assert different == []


# --- the words of others ----------------------------------------------------------------

ERLOTINIB, GEMCITABINE = "DRUGBANK:DB00530", "DRUGBANK:DB00441"
WYETH = "COMPANY:wyeth pharmaceutical"
FIRST = ["first_application_for_drug", ERLOTINIB]
LATEST = ["latest_application_for_drug", ERLOTINIB, f"VALUE:date/{DAY}"]
DISEASE = ["disease_of_gene", "GENE:SLC2A10"]
PATENTED = ["application_of_patent", "PATENT:US8211889", f"VALUE:date/{BOOK_DAY}"]
COMPARATOR = ["comparator_drug_of_trial", "NCT:NCT04732494"]
PRIORITY = [
    "drug_of_company_with_priority_review",
    WYETH,
    "VALUE:date/1993",
    f"VALUE:date/{DAY}",
]


def read(text: str, tree: list[object], as_of: str) -> str:
    """How the meaning of a text differs from a plan."""
    table = rewrites_table()
    finder = NameFinder(table, Mentions(table, "en"), "en")
    return compare(CueReading(text, finder.find(text), "en").read(), plan_of(tree), as_of)


@pytest.mark.parametrize(
    ("text", "tree", "as_of"),
    [
        (
            "Going by Drugs@FDA as of 1 July 2019, how many complete years after erlotinib's first "
            "approval was the earliest ANDA with erlotinib as its sole ingredient approved?",
            ["years_to_first_generic", ERLOTINIB],
            DAY,
        ),
        (
            "By how many full years do the first FDA approvals of gemcitabine and erlotinib "
            "differ?",
            ["years_between_approvals", GEMCITABINE, ERLOTINIB],
            "",
        ),
        (
            "Among the NDAs and BLAs in Drugs@FDA as of 1 July 2019 whose only active ingredient "
            "is erlotinib, which company is shown as the sponsor of the latest one?",
            ["sponsor_of_application", LATEST],
            DAY,
        ),
        (
            "As of 8 April 2025, the application under which erlotinib was first approved by the "
            "FDA has how many distinct patents in the Orange Book, setting paediatric extensions "
            "aside?",
            ["patents_of_application", FIRST],
            BOOK_DAY,
        ),
        (
            "SLC2A10 variants underlie a single disorder listed by OMIM and Orphanet. At what "
            "stage of life does it set in according to Orphanet, as of 1 March 2021?",
            ["onset_of_disease", DISEASE],
            "2021-03-01",
        ),
        (
            "In the Orange Book of 8 April 2025, US patent 8211889 is tied to just one "
            "application. When, as of that date, does the last of the exclusivities listed for it "
            "end?",
            ["exclusivity_end_of_application", PATENTED],
            BOOK_DAY,
        ),
        (
            "Trial NCT04732494 compared against an active comparator drug. What year did the FDA "
            "first approve that comparator?",
            ["approval_year_of_drug", COMPARATOR],
            "",
        ),
        (
            "Of the drugs with new drug applications of 1993 that Drugs@FDA lists under Wyeth "
            "Pharms on 1 July 2019, which one went through priority review?",
            PRIORITY,
            "",
        ),
        (
            "What is the count of distinct Orange Book patents, excluding paediatric extensions, "
            "as of 8 April 2025, for the application under which the drug erlotinib was first "
            "approved by the FDA?",
            ["patents_of_application", FIRST],
            BOOK_DAY,
        ),
        (
            "When erlotinib was first approved by the FDA, what submission classification had the "
            "agency given to the application concerned?",
            ["submission_class_of_application", FIRST],
            "",
        ),
        (
            "How long, in full years, is it from the approval of erlotinib's original FDA "
            "application until its last Orange Book patent expires, as of 8 April 2025?",
            ["years_of_protection", FIRST],
            BOOK_DAY,
        ),
        (
            "For erlotinib's original FDA application, when does the final period of exclusivity "
            "finish, as listed in the Orange Book on April 8, 2025?",
            ["exclusivity_end_of_application", FIRST],
            BOOK_DAY,
        ),
        (
            "Gemcitabine and erlotinib both have FDA approval; which of them had it earlier?",
            ["earlier_approved_drug", GEMCITABINE, ERLOTINIB],
            "",
        ),
        (
            "The 8 April 2025 Orange Book shows US patent 8211889 against just one application. "
            "As of then, when does that application's last exclusivity come to its end?",
            ["exclusivity_end_of_application", PATENTED],
            BOOK_DAY,
        ),
        (
            "Where does LiverTox put the one drug that only the active-comparator arm of trial "
            "NCT04732494 got on its scale for the likelihood of liver injury?",
            ["liver_injury_likelihood_of_drug", COMPARATOR],
            "",
        ),
    ],
)
def test_a_wording_of_somebody_else_is_read(text: str, tree: list[object], as_of: str) -> None:
    assert read(text, tree, as_of) == ""


@pytest.mark.parametrize(
    ("text", "tree", "as_of"),
    [
        # Another review, the first of the patents, extensions in, no number asked for, a trial's
        # sponsor, another edition, a disease, months.
        (
            "Of the drugs with new drug applications of 1993 that Drugs@FDA lists under Wyeth "
            "Pharms on 1 July 2019, which one went through standard review?",
            PRIORITY,
            "",
        ),
        (
            "As of 8 April 2025, how many full years after the approval of the original FDA "
            "application for erlotinib does the first of its Orange Book patents expire?",
            ["years_of_protection", FIRST],
            BOOK_DAY,
        ),
        (
            "As of 8 April 2025, the application under which erlotinib was first approved by the "
            "FDA has how many distinct patents in the Orange Book, leaving paediatric extensions "
            "in?",
            ["patents_of_application", FIRST],
            BOOK_DAY,
        ),
        (
            "As of 8 April 2025, the application under which erlotinib was first approved by the "
            "FDA has how many distinct patents in the Orange Book, including paediatric "
            "extensions?",
            ["patents_of_application", FIRST],
            BOOK_DAY,
        ),
        (
            "Which ANDAs with a marketed product that included a certain drug, erlotinib, as the "
            "only active ingredient does Drugs@FDA list as of 1 July 2019?",
            ["generic_applications_of_drug", ERLOTINIB],
            DAY,
        ),
        (
            "As of 1 July 2019, which company sponsored the trial of erlotinib, whose latest NDA "
            "is in Drugs@FDA on that date?",
            ["sponsor_of_application", LATEST],
            DAY,
        ),
        (
            "In the Orange Book of 8 April 2024, US patent 8211889 is tied to just one "
            "application. When, as of that date, does the last of the exclusivities listed for it "
            "end?",
            ["exclusivity_end_of_application", PATENTED],
            BOOK_DAY,
        ),
        (
            "Where does LiverTox put the one disease that only the active-comparator arm of trial "
            "NCT04732494 had on its scale for the likelihood of liver injury?",
            ["liver_injury_likelihood_of_drug", COMPARATOR],
            "",
        ),
        (
            "By how many months do the first FDA approvals of gemcitabine and erlotinib differ?",
            ["years_between_approvals", GEMCITABINE, ERLOTINIB],
            "",
        ),
    ],
)
def test_another_meaning_is_a_difference(text: str, tree: list[object], as_of: str) -> None:
    assert read(text, tree, as_of) != ""


def test_of_changed_rewrites_none_is_read_as_the_draft() -> None:
    table = rewrites_table()
    for language in LANGUAGES:
        finder = NameFinder(table, Mentions(table, language), language)
        for case in REWRITES:
            text = case.changed[language]
            reading = CueReading(text, finder.find(text), language).read()
            assert compare(reading, case.plan, case.as_of) or case.name in ("d06", "d11"), text
