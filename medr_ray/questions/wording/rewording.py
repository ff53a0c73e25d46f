"""The chosen questions in the words of a model, each checked against its plan."""

from collections.abc import Sequence
from dataclasses import replace

from medr_ray.core.config import PipelineConfig
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.llm.roles import open_chat_client
from medr_ray.questions.drafting.candidates import Candidate, RejectedDraft
from medr_ray.questions.drafting.drafter import Drafter
from medr_ray.questions.plans import SolvedPlan, solve_plan
from medr_ray.questions.steps.kinds import Refusal
from medr_ray.questions.wording.back_reading import BackReader, RulesBackReader
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.model_back_reader import ModelBackReader
from medr_ray.questions.wording.model_writer import Draft, ModelWriter, WrittenQuestion


def open_back_reader(
    config: PipelineConfig, table: FactTable, mentions: Mentions, run: Directory | None
) -> BackReader:
    """The configured back-reader."""
    language = config.questions.language
    if config.questions.back_reader == "rules":
        return RulesBackReader(table, mentions, language)
    endpoint = config.questions.back_reader_model or config.llm
    client = open_chat_client(endpoint, run, "back_reader")
    return ModelBackReader(client, table, mentions, language, endpoint.model)


class Reworder:
    """Words candidates by the configured model."""

    def __init__(self, drafter: Drafter, mentions: Mentions, writer: ModelWriter) -> None:
        self._drafter = drafter
        self._mentions = mentions
        self._writer = writer

    @classmethod
    def open(cls, run: RunDirectory, config: PipelineConfig) -> "Reworder":
        """The reworder of a run: the facts are read once."""
        drafter = Drafter.open(run, config)
        mentions = Mentions(drafter.table, config.questions.language)
        back_reader = open_back_reader(config, drafter.table, mentions, run)
        client = open_chat_client(config.llm, run, "writer")
        writer = ModelWriter(client, back_reader, config.questions.language, config.llm.model)
        return cls(drafter, mentions, writer)

    def reword(
        self, candidates: Sequence[Candidate]
    ) -> tuple[list[Candidate], list[RejectedDraft]]:
        """(the candidates in new words, those whose words were refused, with the reasons).

        Raises InfrastructureError where the endpoint cannot be reached.
        """
        solved = [self._solve(candidate) for candidate in candidates]
        drafts = [
            self._make_draft(candidate, plan)
            for candidate, plan in zip(candidates, solved, strict=True)
        ]
        worded: list[Candidate] = []
        refused: list[RejectedDraft] = []
        written = self._writer.write(drafts)
        for candidate, plan, question in zip(candidates, solved, written, strict=True):
            reasons = self._list_reasons(plan, question)
            if reasons:
                draft = RejectedDraft(candidate.key, candidate.shape, question.text, reasons)
                refused.append(draft)
            else:
                worded.append(replace(candidate, text=question.text))
        return worded, refused

    def _solve(self, candidate: Candidate) -> SolvedPlan:
        solved = solve_plan(candidate.plan, self._drafter.table)
        if isinstance(solved, Refusal):
            # It was drafted from the same facts.
            raise ValueError(f"{candidate.key} has no answer any more: {solved.reason}")
        return solved

    def _make_draft(self, candidate: Candidate, solved: SolvedPlan) -> Draft:
        hidden = [
            name
            for step in solved.steps
            if step.value and not step.node.is_named
            for name in self._list_names(step.value)
        ]
        return Draft(solved.plan, solved.stated_date, candidate.text, tuple(dict.fromkeys(hidden)))

    def _list_names(self, value: str) -> tuple[str, ...]:
        name, others = self._mentions.answer_names(value)
        return (name, *others)

    def _list_reasons(self, solved: SolvedPlan, question: WrittenQuestion) -> tuple[str, ...]:
        if question.problem:
            return (question.problem,)
        return tuple(self._drafter.verifier.check_text(solved, question.text))
