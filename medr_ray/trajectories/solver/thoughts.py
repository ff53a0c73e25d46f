"""The rules teacher's thoughts: a move of the solver in words.

A thought states what the last response established ("disease associated with the gene FBN1 = Marfan
syndrome.") and why the next search follows. The templates are in ``thoughts.LANGUAGE.json``; entity
names stay as documents print them.
"""

from medr_ray.core.prompts import read_package_json
from medr_ray.core.records import Language
from medr_ray.knowledge.predicates import CHINESE_WORDING, directed_name
from medr_ray.knowledge.predicates.kinds import announce_in_chinese
from medr_ray.knowledge.published_reports import is_report
from medr_ray.questions.wording.writers import word_qualifier_in_chinese
from medr_ray.trajectories.solver.plans import Condition
from medr_ray.trajectories.solver.queries import Query
from medr_ray.trajectories.solver.solver import SearchTarget, SolvedTarget


class ThoughtWriter:
    """Writes thoughts in one language."""

    def __init__(self, language: Language) -> None:
        self._is_chinese = language == "zh"
        file_name = f"thoughts.{language}.json"
        self._templates: dict[str, str] = read_package_json(
            "medr_ray.trajectories.solver", file_name
        )

    def word_result(self, solved: SolvedTarget) -> str:
        """What was established: "TARGET = VALUE."."""
        target = self.describe_target(solved.target)
        return self._fill("result", target=target, value=solved.value)

    def word_search(self, target: SearchTarget, query: Query, is_repeated: bool) -> str:
        """Why a query is sent; ``is_repeated`` when the last query was for the same target."""
        if not query.checks:
            key = "still_needed" if is_repeated else "needed"
            return self._fill(key, target=self.describe_target(target))
        condition = query.checks[0][0]
        candidates = [candidate for _, candidate in query.checks]
        if len(candidates) == 1:
            statement = self._sentence(condition, candidates[0])
            return self._fill("check", candidate=candidates[0], statement=statement)
        return self._fill(
            "check_several",
            candidates=self._templates["candidate_separator"].join(candidates),
            target=self._noun_phrase(condition),
        )

    def word_giving_up(self, target: SearchTarget, is_out_of_calls: bool) -> str:
        """Why there is no answer: no call is left, or no source states the target."""
        key = "out_of_calls" if is_out_of_calls else "not_stated"
        return self._fill(key, target=self.describe_target(target))

    def word_unread_question(self) -> str:
        """The question was not understood."""
        return self._templates["unread_question"]

    def describe_target(self, target: SearchTarget) -> str:
        """What is looked for: "disease associated with the gene FBN1 (the one whose age of onset is
        Adult onset)"."""
        if target.share_of:
            disease, finding = target.share_of
            return self._fill("share", disease=disease, finding=finding)
        first, *others = target.conditions
        noun_phrase = self._noun_phrase(first)
        clauses = self._templates["clause_separator"].join(map(self._clause, others))
        if not clauses:
            return noun_phrase
        return self._fill("target_with_clauses", target=noun_phrase, clauses=clauses)

    def _noun_phrase(self, condition: Condition) -> str:
        if self._is_chinese:
            # The unnamed entity is the phrase's end, so the phrase runs against the condition.
            key = directed_name(condition.predicate.name, not condition.forward)
            target = CHINESE_WORDING[key].format(
                known=self._other_phrase(condition),
                clinical=word_qualifier_in_chinese(condition.clinical),
                other="",
            )
        else:
            target = condition.as_noun_phrase()
        if not is_report(condition.clinical):
            return target
        report = (
            word_qualifier_in_chinese(condition.clinical)
            if self._is_chinese
            else condition.clinical
        )
        return self._fill("target_in_report", target=target, report=report)

    def _clause(self, condition: Condition) -> str:
        if not self._is_chinese:
            return condition.as_clause()
        key = f"clause:{directed_name(condition.predicate.name, condition.forward)}"
        return CHINESE_WORDING[key].format(
            other=self._other_phrase(condition),
            clinical=word_qualifier_in_chinese(condition.clinical),
        )

    def _sentence(self, condition: Condition, entity: str) -> str:
        if self._is_chinese:
            return f"{entity}{self._clause(condition)}。"
        return condition.as_sentence(entity)

    def _other_phrase(self, condition: Condition) -> str:
        """The other end of a condition as a Chinese question names it."""
        # Names have no Chinese form; only the word that announces their kind is translated.
        return announce_in_chinese(condition.other_type, condition.other)

    def _fill(self, template_key: str, **values: str) -> str:
        return self._templates[template_key].format(**values)
