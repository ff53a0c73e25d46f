"""Roles of the questions stage that hardly do together what they are meant to."""

from collections.abc import Iterator

from medr_ray.core.config import PipelineConfig


def find_doubtful_roles(config: PipelineConfig) -> Iterator[str]:
    """Each pair of settings with its remedy."""
    questions = config.questions
    own_reader = questions.back_reader_model
    if questions.back_reader == "llm" and questions.writer == "rules":
        yield (
            "questions.back_reader: llm reads what a model worded, and questions.writer is rules, "
            "so that nobody asks it: set questions.writer: llm, or questions.back_reader: rules"
        )
    if own_reader is not None and questions.back_reader == "rules":
        yield (
            f"questions.back_reader_model names {own_reader.model}, and questions.back_reader is "
            "rules, so that nobody asks it: set questions.back_reader: llm, or leave the model out"
        )
    if questions.writer == "llm" and questions.calibration and questions.calibration_rounds:
        yield (
            "questions.calibration puts other questions in the place of too easy ones, and these "
            "stay in the words of rules although questions.writer is llm: set "
            "questions.calibration_rounds: 0 to reject too easy ones, or questions.writer: rules"
        )
    reader = own_reader or config.llm
    is_same = (reader.base_url, reader.model) == (config.llm.base_url, config.llm.model)
    if questions.writer == "llm" and questions.back_reader == "llm" and is_same:
        yield (
            f"questions.back_reader: llm is the model of questions.writer ({reader.model}), which "
            "reads its own words as it meant them: name another one in "
            "questions.back_reader_model, or set questions.back_reader: rules"
        )
