"""The passages of a text that speak of a goal, word for word.

By rules, sentences are ranked by the goal's words and pairs of words, each weighed by how rare it
is in the text; neighbours are joined. By a model, what it names must stand in the text, or it is
dropped: a page can talk a model into much, but not into a quotation that is not there.
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from string import Template
from typing import Protocol

from pydantic import BaseModel

from medr_ray.core.errors import ModelError, ToolError
from medr_ray.core.prompts import read_prompt
from medr_ray.llm.roles import JsonClient
from medr_ray.retrieval.snippets import extract_terms, sentence_spans, split_words, truncate
from medr_ray.tools.threads import Threads

_PAIR_WEIGHT = 0.5  # a pair repeats two words that count already
_THREADS = Threads()


class Quoter(Protocol):
    """Chooses passages."""

    async def quotes(self, goal: str, text: str) -> list[str]:
        """Passages in the order of the text; none when nothing speaks of the goal."""
        ...


class RulesQuoter:
    """By word overlap. ``count`` passages of at most ``chars`` characters."""

    def __init__(self, count: int, chars: int) -> None:
        self._count, self._chars = count, chars

    async def quotes(self, goal: str, text: str) -> list[str]:
        """The event loop goes on meanwhile: a long text takes seconds."""
        passages = await _THREADS.run(lambda: best_passages(goal, text, self._count))
        return [truncate(passage, self._chars) for passage in passages]


def best_passages(goal: str, text: str, count: int) -> list[str]:
    """The ``count`` sentences that share most with the goal, neighbours joined, in the order of the
    text."""
    spans = sentence_spans(text)
    tokens = [split_words(text[start:end]) for start, end in spans]
    holding = Counter(itertools.chain.from_iterable(map(set, tokens)))
    query_terms = extract_terms(
        goal, lambda word: math.log(1 + len(spans) / (1 + holding[word])), _PAIR_WEIGHT
    )
    shares = [query_terms.shared_weight(token) for token in tokens]
    ranked = sorted((i for i in range(len(spans)) if shares[i] > 0), key=lambda i: (-shares[i], i))
    return [
        " ".join(text[spans[run[0]][0] : spans[run[-1]][1]].split())
        for run in _runs(sorted(ranked[:count]))
    ]


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Neighbouring numbers together."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


class QuotesReply(BaseModel):
    """What a model is to reply: passages copied from the page."""

    quotes: list[str]


class ModelQuoter:
    """By a language model, which is shown ``shown`` characters of the page as data."""

    def __init__(self, client: JsonClient, count: int, chars: int, shown: int) -> None:
        self._client, self._count, self._chars, self._shown = client, count, chars, shown

    async def quotes(self, goal: str, text: str) -> list[str]:
        """Raises ToolError when the model's reply cannot be read, InfrastructureError when it
        cannot be reached."""
        template = Template(read_prompt("medr_ray.tools", "quotes"))
        system = template.substitute(count=self._count)
        prompt_text = f"GOAL: {goal}\n\nPAGE:\n{text[: self._shown]}"
        try:
            reply = await self._client.complete_json(
                [{"role": "system", "content": system}, {"role": "user", "content": prompt_text}],
                QuotesReply,
            )
        except ModelError as error:
            raise ToolError(
                f"read: the page could not be searched for the goal: {error}"
            ) from error
        plain = " ".join(text.split())
        spans = {
            quote: plain.find(quote)
            for quote in (" ".join(quote.split()) for quote in reply.quotes)
            if quote
        }
        there = sorted((at, quote) for quote, at in spans.items() if at >= 0)
        return [truncate(quote, self._chars) for _, quote in there[: self._count]]
