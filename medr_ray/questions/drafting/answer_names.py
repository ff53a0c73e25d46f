"""The accepted names of an answer."""

from medr_ray.core.records import Language
from medr_ray.questions.wording.mentions import Mentions

# What is right where the records do not state what is asked.
NOT_RECORDED: dict[Language, tuple[str, ...]] = {
    "en": ("not recorded", "none", "none recorded", "not stated", "no record", "not listed"),
    "zh": ("未登记", "无记录", "未记录", "没有", "无", "not recorded", "none"),
}


def list_answer_names(value: str, mentions: Mentions, language: Language) -> tuple[str, ...]:
    """The name of an answer, then its other accepted names; each once. ``value`` is "" where the
    records do not state one."""
    if not value:
        return NOT_RECORDED[language]
    name, others = mentions.answer_names(value)
    return (name, *others)
