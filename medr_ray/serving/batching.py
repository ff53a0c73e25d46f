"""Which requests of one batch can be generated together: a pure decision, apart from any engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from medr_ray.engines.base import Sampling


@dataclass(frozen=True)
class PreparedJob:
    """A job that was checked and tokenised: the model's directory, prompt ids and how to sample."""

    model: str
    directory: str
    prompt: tuple[int, ...]
    sampling: Sampling


def sampling_groups(jobs: Sequence[PreparedJob]) -> list[list[int]]:
    """Indices of jobs that may share one engine call, groups in the order of their first job.

    Jobs may differ in ``max_tokens`` (the longest is generated, the others are cut). A seeded sample is drawn alone:
    its randomness must not depend on its neighbours. Greedy jobs need no seed.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, job in enumerate(jobs):
        sampling = job.sampling
        alone = index if sampling.temperature > 0 and sampling.seed is not None else None
        groups.setdefault((job.directory, sampling.temperature, sampling.stop, alone), []).append(index)
    return list(groups.values())


def shared_sampling(jobs: Sequence[PreparedJob]) -> Sampling:
    """The sampling parameters of a group."""
    first = jobs[0].sampling
    longest = max(job.sampling.max_tokens for job in jobs)
    seed = first.seed if first.temperature > 0 else None
    return Sampling(max_tokens=longest, temperature=first.temperature, stop=first.stop, seed=seed)
