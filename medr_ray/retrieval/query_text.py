"""Text from the network as plain text, and queries as words.

What holds: what passes ``plain`` has no control or invisible formatting characters, so it can
neither move a cursor nor hide; what ``query_words`` gives holds no character that means something
to a search service, so a query cannot be malformed or reach another field than was meant.
"""

import re
import unicodedata

from medr_ray.retrieval.snippets import wanted

_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs"})  # Unicode categories
_WORD = re.compile(r"[^\W_]+(?:[-'.][^\W_]+)*")
_MOST = 48  # words; the rest of a longer query adds nothing


def plain(text: str) -> str:
    """On one line: white space collapsed, hidden characters gone."""
    return " ".join(visible(text).split())


def plain_lines(text: str) -> str:
    """Line by line as ``plain``, empty lines left out."""
    lines = (" ".join(line.split()) for line in visible(text).split("\n"))
    return "\n".join(filter(None, lines))


def visible(text: str) -> str:
    """The characters that a person sees, and white space."""
    hidden = [
        one for one in set(text) if not one.isspace() and unicodedata.category(one) in _HIDDEN
    ]
    return text.translate(dict.fromkeys(map(ord, hidden))) if hidden else text


def query_words(query: str) -> list[str]:
    """The words of a query in lower case (in capitals AND, OR and NOT would be operators), in
    order."""
    return _WORD.findall(query.lower())[:_MOST]


def loosened(query: str) -> tuple[str, ...]:
    """A query as searches that ask for less and less: all of its words, all that are no stop words
    (which "vitamin A" needs and "what is" does not), any of those."""
    telling = telling_words(query)
    return " ".join(query_words(query)), " ".join(telling), " OR ".join(telling)


def telling_words(query: str) -> list[str]:
    """Those of ``query_words`` that are no stop words; all of them where nothing else is left."""
    words = query_words(query)
    kept = wanted(" ".join(words)).words
    return [one for one in dict.fromkeys(words) if one in kept or not one.isascii()] or words
