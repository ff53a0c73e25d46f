"""The rules teacher's thoughts in words: what was learnt, what is missing, whom it considers.

A thought restates ``what was asked = value`` before the next call; wording lies in
``thoughts.<language>.json``.
"""

from medr_ray.core.prompts import read_package_json
from medr_ray.core.records import Language
from medr_ray.knowledge.predicates import CHINESE_WORDING, directed_name
from medr_ray.knowledge.published_reports import is_report
from medr_ray.questions.wording.writers import word_qualifier_in_chinese
from medr_ray.trajectories.solver.plans import Condition
from medr_ray.trajectories.solver.queries import Query
from medr_ray.trajectories.solver.solver import Step, Unknown


class Speaker:
    """Words a plan's moves in a language, "en" or "zh"; names stay as documents print them."""

    def __init__(self, language: Language) -> None:
        self._chinese = language == "zh"
        self._words = _words("medr_ray.trajectories.solver", f"thoughts.{language}.json")

    def learnt(self, step: Step) -> str:
        """What a step established."""
        return self._say("learnt", wanted=self.wanted(step.unknown), value=step.value)

    def next(self, unknown: Unknown, query: Query, again: bool) -> str:
        """Why a query is sent; ``again`` when the same thing was looked for before."""
        if not query.checks:
            return self._say("still" if again else "need", wanted=self.wanted(unknown))
        names = [candidate for _, candidate in query.checks]
        condition = query.checks[0][0]
        if len(names) == 1:
            return self._say("check", candidate=names[0], stated=self._stated(condition, names[0]))
        return self._say(
            "check_many",
            candidates=self._words["comma"].join(names),
            wanted=self._wanted(condition),
        )

    def given_up(self, unknown: Unknown, spent: bool) -> str:
        """Why there is no answer; ``spent`` when there is no call left."""
        return self._say("spent" if spent else "none", wanted=self.wanted(unknown))

    def unread(self) -> str:
        """The question was not understood."""
        return self._words["unread"]

    def wanted(self, unknown: Unknown) -> str:
        """What is looked for: "disease associated with the gene FBN1 (the one whose age of onset is
        Adult onset)"."""
        if unknown.share_of:
            disease, finding = unknown.share_of
            return self._say("share", disease=disease, finding=finding)
        first, *rest = unknown.conditions
        first_text = self._wanted(first)
        further_text = self._words["and"].join(map(self._told, rest))
        return (
            self._say("told", wanted=first_text, told=further_text) if further_text else first_text
        )

    def _wanted(self, one: Condition) -> str:
        if self._chinese:
            key = directed_name(one.predicate.name, not one.forward)
            text = CHINESE_WORDING[key].format(
                known=self._named(one), clinical=word_qualifier_in_chinese(one.clinical), other=""
            )
        else:
            text = one.wanted()
        if not is_report(one.clinical):
            return text
        return self._say(
            "reported",
            wanted=text,
            report=word_qualifier_in_chinese(one.clinical) if self._chinese else one.clinical,
        )

    def _told(self, one: Condition) -> str:
        if not self._chinese:
            return one.told()
        phrase = CHINESE_WORDING[f"clause:{directed_name(one.predicate.name, one.forward)}"]
        return phrase.format(
            other=self._named(one), clinical=word_qualifier_in_chinese(one.clinical)
        )

    def _stated(self, one: Condition, entity: str) -> str:
        return f"{entity}{self._told(one)}。" if self._chinese else one.stated(entity)

    def _named(self, one: Condition) -> str:
        return one.named.replace("the gene ", "基因", 1) if one.named != one.other else one.other

    def _say(self, key: str, **words: str) -> str:
        return self._words[key].format(**words)


def _words(package: str, name: str) -> dict[str, str]:
    words: dict[str, str] = read_package_json(package, name)
    return words
