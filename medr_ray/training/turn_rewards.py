"""Rewards of single turns: a turn is paid for the needed facts that its tool results state first.

A needed fact is a value that the question's plan leads over, or its answer
(``trajectories.process_labels``, the label ``found_needed_fact``). Each pays the same share of 1,
once a rollout. So what is measured is which facts have been found, by a rule over the responses.

That is not the information gain of IGPO (arXiv 2510.14967), whose reward of a turn is by how much
it raises the policy's own probability of the right answer. That needs a forward pass over the
answer after every turn, works for any question with a known answer, and follows what the policy
believes; this needs the plan of a question and no model, and a fact counts whether or not the
policy makes use of it.
"""

from collections.abc import Sequence

from medr_ray.core.records import Question, Trajectory
from medr_ray.trajectories.process_labels import analyse_calls, list_needed_facts


def find_turn_rewards(trajectory: Trajectory, question: Question) -> tuple[float, ...]:
    """The share of the question's needed facts that each reply's calls brought up first.

    They sum up to at most 1. Zeros for a question that needs none.
    """
    replies = sum(message.role == "assistant" for message in trajectory.messages)
    rewards = [0.0] * replies
    needed = list_needed_facts(question)
    paid: set[int] = set()
    for call in analyse_calls(trajectory, question):
        # What is stated nowhere counts as found with each further document: it is paid once.
        new = call.found - paid
        paid |= new
        rewards[call.reply] += len(new) / len(needed)
    return tuple(rewards)


def turn_advantages(rewards: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """One advantage for each turn of each rollout of a group.

    It is what the rollout is still paid from this turn on, less the mean of that over the rollouts
    that have such a turn (the process supervision of GRPO, DeepSeekMath, arXiv 2402.03300, section
    4.1.3, without its division by the standard deviation). The sum of a turn's advantages over the
    group is 0.
    """
    to_go = [_sum_from_each(own) for own in rewards]
    longest = max((len(own) for own in to_go), default=0)
    means: list[float] = []
    for turn in range(longest):
        values = [own[turn] for own in to_go if len(own) > turn]
        means.append(sum(values) / len(values))
    return [tuple(value - means[turn] for turn, value in enumerate(own)) for own in to_go]


def _sum_from_each(values: Sequence[float]) -> list[float]:
    """For each place the sum of the values from there on."""
    sums: list[float] = []
    total = 0.0
    for value in reversed(values):
        total += value
        sums.append(total)
    return sums[::-1]
