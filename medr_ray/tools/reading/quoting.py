"""The passages of a text that speak of a goal, word for word.

By rules, sentences are ranked by the goal's words and pairs of words, each weighed by how rare it
is in the text, and neighbours are joined. By a model, a passage that does not stand in the text is
dropped: whatever a page makes a model say, it cannot become a quotation that is not there.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from string import Template
from typing import Protocol

from pydantic import BaseModel

from medr_ray.core.errors import ModelError, ToolError
from medr_ray.core.prompts import build_fence, read_prompt
from medr_ray.llm.roles import JsonClient
from medr_ray.retrieval.snippets import extract_terms, sentence_spans, split_words, truncate
from medr_ray.tools.threads import DaemonThreads

_PAIR_WEIGHT = 0.5  # a pair repeats two words that count already
_HAN = re.compile(r"[\u3400-\u9fff]")
_THREADS = DaemonThreads()


class Quoter(Protocol):
    """Chooses passages."""

    async def find_quotes(self, goal: str, text: str) -> list[str]:
        """Passages in the order of the text; none when nothing speaks of the goal."""
        ...


class RulesQuoter:
    """Chooses by shared words. At most ``count`` passages of at most ``chars`` characters."""

    def __init__(self, count: int, chars: int) -> None:
        self._count = count
        self._chars = chars

    async def find_quotes(self, goal: str, text: str) -> list[str]:
        """See ``Quoter``."""
        # In a thread: a long text takes seconds.
        passages = await _THREADS.run(lambda: best_passages(goal, text, self._count))
        return [truncate(passage, self._chars) for passage in passages]


def best_passages(goal: str, text: str, count: int) -> list[str]:
    """The ``count`` sentences that share most with the goal, neighbours joined, in the order of the
    text."""
    spans = sentence_spans(text)
    tokens = [split_words(text[start:end]) for start, end in spans]
    sentence_counts = Counter(itertools.chain.from_iterable(map(set, tokens)))

    def word_rarity(word: str) -> float:
        # Inverse document frequency, with sentences as the documents.
        return math.log(1 + len(spans) / (1 + sentence_counts[word]))

    query_terms = extract_terms(goal, word_rarity, _PAIR_WEIGHT)
    shares = [query_terms.shared_weight(words) for words in tokens]
    matching = [number for number, share in enumerate(shares) if share > 0]
    # Of equal shares the earlier sentence: the result does not depend on the sort.
    ranked = sorted(matching, key=lambda number: (-shares[number], number))
    passages = []
    for group in _group_neighbours(sorted(ranked[:count])):
        start = spans[group[0]][0]
        end = spans[group[-1]][1]
        passages.append(" ".join(text[start:end].split()))
    return passages


def _group_neighbours(numbers: Sequence[int]) -> list[list[int]]:
    """Sorted numbers in groups of consecutive ones."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number == groups[-1][-1] + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


class QuotesReply(BaseModel):
    """What a model is to reply: passages copied from the page."""

    quotes: list[str]


class ModelQuoter:
    """Chooses by a language model, which is shown ``page_chars`` characters of the page as data.

    It is asked in the goal's language, Chinese or English.
    """

    def __init__(self, client: JsonClient, count: int, chars: int, page_chars: int) -> None:
        self._client = client
        self._count = count
        self._chars = chars
        self._page_chars = page_chars

    async def find_quotes(self, goal: str, text: str) -> list[str]:
        """Raises ToolError when the model's reply cannot be read or all that it quotes stands
        nowhere in the text, InfrastructureError when it cannot be reached."""
        page = text[: self._page_chars]
        fence = build_fence(page)
        template = Template(
            read_prompt("medr_ray.tools", "quotes", "zh" if _HAN.search(goal) else "en")
        )
        system = template.substitute(count=self._count, fence=fence)
        prompt_text = f"GOAL: {goal}\n\n{fence}\n{page}\n{fence}"
        try:
            reply = await self._client.complete_json(
                [{"role": "system", "content": system}, {"role": "user", "content": prompt_text}],
                QuotesReply,
            )
        except ModelError as error:
            raise ToolError(
                f"read: the page could not be searched for the goal: {error}"
            ) from error
        # White space is compared collapsed, because models copy line breaks as spaces.
        collapsed_text = " ".join(text.split())
        quotes = {" ".join(quote.split()) for quote in reply.quotes}
        places = [(collapsed_text.find(quote), quote) for quote in quotes if quote]
        in_text = sorted(place for place in places if place[0] >= 0)
        if places and not in_text:
            raise ToolError(
                f"read: none of the {len(places)} quoted passages stands in the text, "
                "so none is shown"
            )
        return [truncate(quote, self._chars) for _, quote in in_text[: self._count]]
