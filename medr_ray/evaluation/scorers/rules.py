"""Our own rules: equality with the answer or an alias after normalisation
(``questions.answer_matching``), which also decide the reward of training."""

from medr_ray.core.records import Task
from medr_ray.evaluation.scorers.base import Score, build_score, identify_code
from medr_ray.knowledge import name_normalization, spellings
from medr_ray.questions import answer_figures, answer_matching, answer_phrases


class RulesScorer:
    """Strict: what only contains the answer is not the answer."""

    name = "rules"

    def identity(self) -> str:
        return identify_code(
            self.name,
            answer_matching,
            answer_figures,
            answer_phrases,
            name_normalization,
            spellings,
        )

    async def score(self, task: Task, prediction: str | None) -> Score:
        if prediction is None:
            return build_score(self.name, False, "", "no answer")
        is_correct = answer_matching.answers_match(prediction, task.answer, task.aliases)
        return build_score(self.name, is_correct, prediction)
