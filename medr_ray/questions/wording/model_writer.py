"""The question writer that uses a language model, and the checks that its texts pass.

The model sees the plain wording, who asks, and the types of what is hidden, never a hidden name.
Its text is kept only if a back-reader reads it as the draft's plan and date, and if it names and
counts nothing that the plain wording does not. A reply that cannot be read or says something else
is a problem of that question only, with its reason. An endpoint that cannot be reached ends the
stage (InfrastructureError).
"""

import asyncio
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Template

from pydantic import BaseModel, Field

from medr_ray.core.errors import ModelError
from medr_ray.core.prompts import build_fence, read_prompt
from medr_ray.core.records import Language
from medr_ray.llm.roles import JsonClient
from medr_ray.questions.plans import PlanNode
from medr_ray.questions.wording.back_reading import BackReader, compare
from medr_ray.questions.wording.name_finding import list_names_in, take_out_dates

# A text of more is hard to take in at one reading.
_MAX_SENTENCES = 2
_FEW_HOPS = 4
_MAX_WORDS = {"few": 45, "many": 75}  # of a question of up to, and of more than, _FEW_HOPS
_CHARACTERS_PER_WORD = 2  # of Chinese, for the same content
_NUMBER = re.compile(r"\d+")
_GROUPING = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")  # "8,580,304" is "8580304"
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
# A full stop that ends a sentence, and not "Inc.", "Ltd.", "St." or an initial.
_SENTENCE_END = re.compile(
    r"(?<!\bInc)(?<!\bLtd)(?<!\bCo)(?<!\bCorp)(?<!\bSt)(?<!\bvs)(?<!\b[A-Z])[.!?](?=\s|$)|[。！？]"
)
_NOUNS: dict[Language, dict[str, str]] = {
    "en": {"application": "an application", "institution": "an institution"},
    "zh": {
        "drug": "药物",
        "trial": "试验",
        "application": "申请",
        "company": "公司",
        "institution": "机构",
        "person": "人员",
        "disease": "疾病",
        "gene": "基因",
        "paper": "论文",
        "journal": "期刊",
        "patent": "专利",
        "value": "遗传方式",
        "category": "类别",
        "text": "名称",
        "number": "数目",
        "date": "日期",
        "year": "年份",
    },
}


@dataclass(frozen=True)
class Draft:
    """A question to word: its plan, the ISO date of facts that age, its plain wording, and the
    names of what is found on the way and of the answer."""

    plan: PlanNode
    as_of: str
    plain: str
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class WrittenQuestion:
    """A writer's result: the question in ``text``, or a ``problem`` for which it is rejected."""

    text: str
    problem: str = ""


class QuestionReply(BaseModel):
    """What the model is to reply."""

    question: str = Field(min_length=8)


class ModelWriter:
    """Writes questions in the model's words. All questions of a batch share ``client``."""

    def __init__(
        self, client: JsonClient, back_reader: BackReader, language: Language, model: str
    ) -> None:
        self.name = model
        self._client = client
        self._back_reader = back_reader
        self._language = language
        self._prompt = Template(read_prompt("medr_ray.questions", "question", language))

    def write(self, drafts: Sequence[Draft]) -> list[WrittenQuestion]:
        """A result for each draft, in order."""
        # All at once: the client itself limits how many requests are open.
        written = asyncio.run(self._write_all(drafts))
        problems = [
            written_question.problem or next(self._find_problems(draft, written_question.text), "")
            for draft, written_question in zip(drafts, written, strict=True)
        ]
        # Only what has no problem yet is worth a reading.
        read = [place for place, problem in enumerate(problems) if not problem]
        readings = self._back_reader.read([written[place].text for place in read]) if read else []
        for place, reading in zip(read, readings, strict=True):
            difference = compare(reading, drafts[place].plan, drafts[place].as_of)
            problems[place] = f"back_reading: {difference}" if difference else ""
        return [
            WrittenQuestion(question.text, problem)
            for question, problem in zip(written, problems, strict=True)
        ]

    async def _write_all(self, drafts: Sequence[Draft]) -> list[WrittenQuestion]:
        return list(await asyncio.gather(*map(self._write_question, drafts)))

    async def _write_question(self, draft: Draft) -> WrittenQuestion:
        messages = [{"role": "user", "content": self.format_prompt(draft)}]
        try:
            reply = await self._client.complete_json(messages, QuestionReply)
        except ModelError as error:
            return WrittenQuestion("", f"writer: {error}")
        return WrittenQuestion(" ".join(reply.question.split()))

    # --- what a text may not do -------------------------------------------------------

    def _find_problems(self, draft: Draft, text: str) -> Iterator[str]:
        """What can be said without a reading; the first is enough to reject the text."""
        hidden = [name for name in draft.hidden if not list_names_in(draft.plain, [name])]
        for name in list_names_in(text, hidden):
            yield f'no_leak: the text names "{name}", which is hidden'
        for number in sorted(_list_numbers(text) - _list_numbers(draft.plain)):
            yield f'no_leak: the text adds the number "{number}"'
        length, limit = self._measure(text), self._limit_words(draft.plan)
        if length > limit:
            yield f"form: {length} words, at most {limit}"
        sentences = len(_SENTENCE_END.findall(text))
        if sentences > _MAX_SENTENCES:
            yield f"form: {sentences} sentences, at most {_MAX_SENTENCES}"

    def _measure(self, text: str) -> int:
        """The length of a text in words; in Chinese, in characters."""
        if self._language == "zh":
            return len(_IDEOGRAPH.findall(text)) + len(_IDEOGRAPH.sub(" ", text).split())
        return len(text.split())

    def _limit_words(self, plan: PlanNode) -> int:
        limit = _MAX_WORDS["few" if plan.hops <= _FEW_HOPS else "many"]
        return limit * _CHARACTERS_PER_WORD if self._language == "zh" else limit

    # --- the prompt -------------------------------------------------------------------

    def format_prompt(self, draft: Draft) -> str:
        """The message for one draft; it holds no hidden name."""
        return self._prompt.substitute(
            asker=self._name_asker(draft.plan),
            plain=draft.plain,
            fence=build_fence(draft.plain),
            hidden=self._list_hidden_types(draft.plan),
            words=self._limit_words(draft.plan),
            examples=read_prompt("medr_ray.questions", "examples", self._language).strip(),
        )

    def _name_asker(self, plan: PlanNode) -> str:
        """Who would ask for what the last step finds."""
        return _read_askers(self._language)[plan.step_kind.sources[-1]]

    def _list_hidden_types(self, plan: PlanNode) -> str:
        types = [node.step_kind.output for node in plan.walk() if not node.is_named]
        nouns = [_NOUNS[self._language].get(name, f"a {name}") for name in types]
        return ("、" if self._language == "zh" else ", ").join(nouns)


def _list_numbers(text: str) -> set[str]:
    """The dates and other numbers in a text, however they are written."""
    dates, rest = take_out_dates(text)
    rest = _GROUPING.sub("", rest)
    return {*dates, *(number.lstrip("0") or "0" for number in _NUMBER.findall(rest))}


@functools.cache
def _read_askers(language: Language) -> dict[str, str]:
    lines = read_prompt("medr_ray.questions", "askers", language).splitlines()
    return {source: words for source, _, words in (line.partition(": ") for line in lines)}
