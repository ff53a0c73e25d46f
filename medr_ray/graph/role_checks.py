"""Settings with which a language model could extract nothing, found before it is paid."""

from collections.abc import Iterator, Mapping

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.records import NodeType
from medr_ray.engines.weights import model_path
from medr_ray.graph.extraction.linking import uses_similarity
from medr_ray.graph.extraction.llm_extractor import TOKENS_PER_RELATION
from medr_ray.knowledge.predicates import TEXT_PREDICATES

# The types of what an embedded vocabulary names.
_TYPES: Mapping[str, NodeType] = {
    "hpo": "phenotype",
    "hpo_diseases": "disease",
    "diseases": "disease",
    "drugs": "drug",
    "genes": "gene",
}


def find_extractor_problems(config: PipelineConfig) -> Iterator[str]:
    """Why no relation could come of a model's reading; nothing where rules extract."""
    if config.graph.extractor != "llm":
        return
    if config.llm.max_tokens < TOKENS_PER_RELATION:
        yield (
            f"graph.extractor: llm needs {TOKENS_PER_RELATION} tokens for a relation, and "
            f"llm.max_tokens is {config.llm.max_tokens}: raise it, or set graph.extractor: rules"
        )
    if uses_similarity(config.graph.link_similarity):
        try:
            model_path(config.models.encoder)
        except MedrError as error:
            yield (
                f"graph.link_similarity: {config.graph.link_similarity} compares the names that "
                f"graph.extractor: llm writes by models.encoder: {error}; or set "
                "graph.link_similarity: null"
            )
    # A foreign vocabulary may name anything.
    if config.entities.lexicons:
        return
    names = {_TYPES[vocabulary] for vocabulary in config.entities.vocabularies}
    if not any(
        predicate.subject_type in names and predicate.object_type in names
        for predicate in TEXT_PREDICATES.values()
    ):
        yield (
            f"graph.extractor: llm has no relation to extract, because entities.vocabularies "
            f"({', '.join(config.entities.vocabularies) or 'none'}) name no two ends of one: add "
            "vocabularies, or set graph.extractor: rules"
        )
