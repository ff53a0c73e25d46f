"""Teachers and settings that cannot work together, and those that hardly do."""

from collections.abc import Iterator

from medr_ray.core.config import PipelineConfig
from medr_ray.tools.role_checks import find_doubtful_readers
from medr_ray.trajectories.solver.solver import MEDICAL_SEARCH, SEARCHES


def find_teacher_problems(config: PipelineConfig) -> Iterator[str]:
    """Why a teacher by rules would give up on every question."""
    if config.trajectories.teacher != "rules":
        return
    tools = config.agent.tools
    if not set(tools) & set(SEARCHES):
        yield (
            f"trajectories.teacher: rules looks things up by {' or '.join(SEARCHES)}, and "
            f"agent.tools ({', '.join(tools)}) has neither: add one, or set "
            "trajectories.teacher: llm"
        )
    elif MEDICAL_SEARCH not in tools and config.tools.web.provider != "none":
        yield (
            "trajectories.teacher: rules reads the lines of records, and tools.web.provider: "
            f"{config.tools.web.provider} makes of search one of web pages: add {MEDICAL_SEARCH} "
            "to agent.tools, set tools.web.provider: none, or trajectories.teacher: llm"
        )


def find_doubtful_roles(config: PipelineConfig) -> Iterator[str]:
    """Each pair of settings with its remedy."""
    settings = config.trajectories
    if settings.rewrite is not None and settings.style == "plain":
        yield (
            "trajectories.rewrite words anew what trajectories.style: plain words alike on "
            "purpose: set trajectories.style: natural, or leave trajectories.rewrite out"
        )
    if settings.teacher == "llm":
        yield from _find_doubtful_teachers(config)
    questions = config.questions
    is_read_by_model = questions.writer == "llm" and questions.back_reader == "llm"
    if settings.teacher == "rules" and is_read_by_model and settings.guided_fraction < 1:
        yield (
            "questions.back_reader: llm admits words that rules cannot read, and "
            f"trajectories.guided_fraction: {settings.guided_fraction:g} has trajectories.teacher: "
            "rules read some questions without guidance, where it gives up: set "
            "trajectories.guided_fraction: 1, or questions.back_reader: rules"
        )
    yield from find_doubtful_readers(config)


def _find_doubtful_teachers(config: PipelineConfig) -> Iterator[str]:
    settings = config.trajectories
    if settings.rollouts_per_question > 1 and config.llm.temperature == 0:
        yield (
            f"trajectories.rollouts_per_question: {settings.rollouts_per_question} plays the same "
            "dialogue again where nothing fails, because llm.temperature is 0: raise the "
            "temperature, or set trajectories.rollouts_per_question: 1"
        )
    if config.agent.max_tokens > settings.max_tokens:
        yield (
            f"agent.max_tokens: {config.agent.max_tokens} lets trajectories.teacher: llm write "
            f"dialogues longer than trajectories.max_tokens: {settings.max_tokens}, which are "
            "paid for and rejected: set both alike"
        )
    if config.tools.cassette.mode == "replay":
        yield (
            "tools.cassette.mode: replay answers recorded calls alone, and trajectories.teacher: "
            "llm may search in other words: set tools.cassette.mode: record or off"
        )
