"""Texts whose entities are marked where they stand: ``{FBN1:gene} mutations cause {Marfan
syndrome:disease}.``

A concept's id is its name as marked, in lower case.
"""

import re

from medr_ray.graph.extraction.abstracts import Abstract
from medr_ray.graph.extraction.sentences import SentenceMention
from medr_ray.retrieval.snippets import sentence_spans

_MARK = re.compile(r"\{([^:{}]+):(\w+)\}")


def parse_marked_text(text: str) -> tuple[str, list[SentenceMention], dict[str, str]]:
    """The plain text, its mentions, and the type of each concept."""
    plain = ""
    last = 0
    mentions: list[SentenceMention] = []
    types: dict[str, str] = {}
    for mark in _MARK.finditer(text):
        plain += text[last : mark.start()]
        concept = mark[1].lower()
        mentions.append(SentenceMention(len(plain), len(plain) + len(mark[1]), concept))
        types[concept] = mark[2]
        plain += mark[1]
        last = mark.end()
    return plain + text[last:], mentions, types


def read_marked_abstract(text: str) -> Abstract:
    """A marked text, read."""
    plain, mentions, types = parse_marked_text(text)
    return Abstract.from_mentions(plain, sentence_spans(plain), mentions, types)


def stated_relations(text: str, least: float = 0.5) -> set[tuple[str, str, str]]:
    """(subject, predicate, object) of what a marked text states at least that surely."""
    return {
        (statement.subject, statement.predicate, statement.object)
        for statement in read_marked_abstract(text).statements
        if statement.confidence >= least
    }
