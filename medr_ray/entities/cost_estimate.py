"""What a language model that judges the significance of entities would use."""

import math

from medr_ray.core.config import PipelineConfig
from medr_ray.core.costs import ModelCost, count_tokens
from medr_ray.core.earlier_results import read_latest_counts
from medr_ray.core.prompts import read_prompt
from medr_ray.core.run import RunDirectory
from medr_ray.entities.significance import fit_batch
from medr_ray.knowledge.specialty import SPECIALTIES

# Tokens of a candidate as the model sees it: eight lines, with its forms and what is known of it.
_CANDIDATE_TOKENS = 120
# Tokens of a verdict: an id, a short sentence and a specialty.
_VERDICT_TOKENS = 45
# Citations that bring a candidate, in the sample of 50,783 that ships with the package: 2,427
# candidates. A larger corpus has fewer for its size.
_CITATIONS_PER_CANDIDATE = 20


def estimate_significance(config: PipelineConfig, run: RunDirectory) -> ModelCost:
    """The estimate from the candidates of a finished stage, else from the size of the corpus."""
    counts = read_latest_counts(run, "entities")
    citations = read_latest_counts(run, "corpus").get("citations")
    if "rare" in counts:
        candidates = counts["rare"] + counts.get("rejected", 0)
        basis = f"{candidates:,} candidates of a finished stage"
    elif citations is not None:
        candidates = math.ceil(citations / _CITATIONS_PER_CANDIDATE)
        basis = f"a candidate in {_CITATIONS_PER_CANDIDATE} of {citations:,} citations"
    else:
        candidates = 0
        basis = "nothing: no stage has counted citations yet, run corpus first"
    batch = fit_batch(config.llm, config.entities.judge_batch)
    requests = math.ceil(candidates / batch)
    specialties = "".join(specialty.covers for specialty in SPECIALTIES.values())
    prompt = read_prompt("medr_ray.entities", "significance") + specialties
    input_tokens = requests * count_tokens(prompt) + candidates * _CANDIDATE_TOKENS
    output_tokens = candidates * _VERDICT_TOKENS
    return ModelCost("significance", config.llm, requests, input_tokens, output_tokens, basis)
