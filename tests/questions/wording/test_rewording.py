"""Chosen questions in the words of a model: each keeps its plan, or is refused with a reason."""

import json

import pytest
from support.misbehaving_endpoint import endpoint, fresh_governor

from medr_ray.core.config import DocumentSource, PipelineConfig
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.drafting.drafter import Drafter, DraftingUnit, SeedChains
from medr_ray.questions.wording.back_reading import RulesBackReader
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.model_writer import ModelWriter
from medr_ray.questions.wording.rewording import Reworder

UNIT = DraftingUnit(
    "trial_to_approval",
    ("drug_of_trial", "first_application_for_drug", "sponsor_of_application"),
)
# The date of the company's listing is named: it is not said a second time.
UNIT_OF_NAMED_DATE = DraftingUnit(
    "company_to_drug",
    ("latest_application_of_company", "trade_name_of_application"),
)


def test_a_wording_keeps_its_plan_or_is_refused(
    table: FactTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_governor(monkeypatch)
    config = PipelineConfig()
    sources = tuple(DocumentSource(source=name) for name in ("pubmed", "hpo", "registries"))
    index = config.index.model_copy(update={"sources": sources})
    config = config.model_copy(update={"index": index})
    drafter = Drafter(table, SeedChains({}, {}), config)
    (kept, changed, *_), _, _ = drafter.draft_unit(UNIT)
    (dated, *_), _, _ = drafter.draft_unit(UNIT_OF_NAMED_DATE)
    replies = {kept.text: kept.text, changed.text: kept.text, dated.text: dated.text}
    plan = {plain: [json.dumps({"question": text})] for plain, text in replies.items()}
    mentions = Mentions(table, "en")
    with endpoint(plan) as server:
        writer = ModelWriter(server.client(), RulesBackReader(table, mentions, "en"), "en", "m")
        worded, refused = Reworder(drafter, mentions, writer).reword([kept, dated, changed])
    assert worded == [kept, dated]
    assert [draft.key for draft in refused] == [changed.key]
    assert refused[0].reasons
