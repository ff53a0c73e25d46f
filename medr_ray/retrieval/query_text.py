"""Turns text from the network into plain text, and queries into words.

Guaranteed: the result of ``plain_line`` has no control or invisible formatting characters, so it
can neither move a cursor nor hide anything. The words of ``split_query`` have no character with a
meaning to a search service, so a query can neither be malformed nor reach a field that it was not
meant for.
"""

import re
import unicodedata

from medr_ray.retrieval.snippets import is_stop_word

# Unicode categories: control, format, private use, surrogate.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs"})
# Letters and digits of any script, with hyphens, full stops and apostrophes inside of a word.
_WORD = re.compile(r"[^\W_]+(?:[-'.][^\W_]+)*")
_MOST_WORDS = 48  # of a query; the rest of a longer one adds nothing


def plain_line(text: str) -> str:
    """The text on one line: white space collapsed, hidden characters removed."""
    return " ".join(remove_hidden(text).split())


def plain_lines(text: str) -> str:
    """Each line as by ``plain_line``, empty lines left out."""
    lines = (" ".join(line.split()) for line in remove_hidden(text).split("\n"))
    return "\n".join(filter(None, lines))


def remove_hidden(text: str) -> str:
    """The characters that a person sees, and white space."""
    hidden = [
        character
        for character in set(text)
        if not character.isspace() and unicodedata.category(character) in _HIDDEN_CATEGORIES
    ]
    # Only the characters that occur are mapped: a table of all hidden ones would have 140,000.
    return text.translate(dict.fromkeys(map(ord, hidden))) if hidden else text


def split_query(query: str) -> list[str]:
    """The words of a query, in order.

    They are in lower case, because AND, OR and NOT in capitals would be operators, and their
    characters are composed (NFKC).
    """
    composed = unicodedata.normalize("NFKC", remove_hidden(query))
    return _WORD.findall(composed.lower())[:_MOST_WORDS]


def loosen_query(query: str) -> tuple[str, ...]:
    """A query as searches that ask for less and less.

    First all of its words ("vitamin A" needs its stop word), then all that are not stop words, then
    any of those.
    """
    informative = informative_words(query)
    return " ".join(split_query(query)), " ".join(informative), " OR ".join(informative)


def informative_words(query: str) -> list[str]:
    """The words of the query that are not stop words, each once; all words if none is left."""
    words = split_query(query)
    kept = [word for word in dict.fromkeys(words) if not is_stop_word(word)]
    return kept or words
