import random
from collections import Counter

import pytest

from medr_ray.training.batches import Example
from medr_ray.training.dealing import deal_examples


def make_groups() -> list[Example]:
    """Eight groups of five sequences that share their first 50 tokens."""
    drawn = random.Random(0)
    examples = []
    for group in range(8):
        prompt = [group] + [drawn.randrange(300) for _ in range(49)]
        for _ in range(5):
            ids = prompt + [drawn.randrange(300) for _ in range(drawn.randrange(1, 60))]
            examples.append(Example(tuple(ids), (len(ids) - 1,)))
    drawn.shuffle(examples)
    return examples


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_every_example_goes_to_one_worker_and_loads_are_even(world_size: int, tree: bool) -> None:
    examples = make_groups()
    dealt = deal_examples(examples, world_size, tree)
    assert Counter(example for part in dealt for example in part) == Counter(examples)
    loads = [sum(len(example.ids) for example in part) for part in dealt]
    assert max(loads) < 1.3 * min(loads)


def test_trees_are_cut_as_seldom_as_there_are_workers() -> None:
    dealt = deal_examples(make_groups(), 3, tree=True)
    groups = [{example.ids[:50] for example in part} for part in dealt]
    assert sum(len(part) for part in groups) <= 8 + 2


@pytest.mark.parametrize("tree", [False, True])
def test_fewer_examples_than_workers_leave_some_without(tree: bool) -> None:
    examples = make_groups()[:2]
    dealt = deal_examples(examples, 4, tree)
    assert sorted(len(part) for part in dealt) == [0, 0, 1, 1]
    assert deal_examples([], 2, tree) == [[], []]
