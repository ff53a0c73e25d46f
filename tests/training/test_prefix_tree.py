"""A prefix tree teaches what its sequences teach as rows, with fewer tokens."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.tiny_model import build_tiny_model

from medr_ray.core.config import GRPOConfig, SFTConfig, TrainerConfig
from medr_ray.core.errors import ConfigError
from medr_ray.training import policy, tree_attention
from medr_ray.training.batches import Example, MicroBatch, collate
from medr_ray.training.losses import clipped_loss, sft_loss
from medr_ray.training.micro_batches import build_micro_batch, plan_micro_batches
from medr_ray.training.model_loading import ModelSource, load_model
from medr_ray.training.policy import PolicyModule
from medr_ray.training.prefix_tree import build_prefix_tree, collate_tree
from medr_ray.training.tree_attention import enable_tree_attention, find_tree_problem
from medr_ray.training.workers import load_backend

_TOLERANCE = 1e-5  # of the gradient's norm, in float32


def _taught(ids: Sequence[int], targets: Sequence[int] | None = None) -> Example:
    """A sequence whose weights differ from token to token, all tokens taught unless said."""
    positions = tuple(range(1, len(ids))) if targets is None else tuple(targets)
    logprobs = tuple(-1.0 - 0.37 * ((position * 7) % 5) for position in positions)
    advantages = tuple(0.5 - 0.21 * ((sum(ids) + position) % 6) for position in positions)
    return Example(tuple(ids), positions, logprobs, advantages)


@st.composite
def _examples(draw: st.DrawFn) -> list[Example]:
    """Sequences over three tokens, so that many begin alike, are equal or contain each other."""
    sequences = draw(st.lists(st.lists(st.integers(1, 3), min_size=2, max_size=9), min_size=1))
    prefix = draw(st.lists(st.integers(1, 3), max_size=5))
    examples = []
    for sequence in sequences:
        ids = (*prefix, *sequence)
        targets = draw(st.sets(st.integers(1, len(ids) - 1)))
        examples.append(_taught(ids, sorted(targets)))
    if not any(drawn.targets for drawn in examples):
        examples[0] = _taught(examples[0].ids)
    return examples


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> PolicyModule:
    source = ModelSource(build_tiny_model(tmp_path_factory.mktemp("model")))
    model = load_model(source, torch.float32)
    enable_tree_attention(model)
    return PolicyModule(model, temperature=0.8)


@pytest.fixture(autouse=True)
def _in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """On processors with bf16 instructions, too: in bf16 equal arithmetic differs by rounding."""
    monkeypatch.setattr(policy, "select_dtype", lambda device: torch.float32)


def _grpo_loss(batch: MicroBatch, logprobs: torch.Tensor, entropies: torch.Tensor) -> torch.Tensor:
    return clipped_loss(logprobs, batch.logprobs, batch.advantages, GRPOConfig()).loss


def _sft_loss(batch: MicroBatch, logprobs: torch.Tensor, entropies: torch.Tensor) -> torch.Tensor:
    return sft_loss(logprobs, batch.advantages)


def _learn(module: PolicyModule, batches: Sequence[MicroBatch], loss: Any) -> tuple[Any, ...]:
    """(losses, log-probabilities, entropies, gradient) over ``batches``."""
    module.zero_grad()
    results = []
    for batch in batches:
        logprobs, entropies = module(batch)
        value = loss(batch, logprobs, entropies)
        value.backward()
        results.append((value.detach(), logprobs.detach(), entropies))
    gradient = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
    losses, logprobs, entropies = zip(*results, strict=True)
    return sum(losses), torch.cat(logprobs), torch.cat(entropies), torch.cat(gradient)


def _assert_same(first: torch.Tensor, second: torch.Tensor) -> None:
    assert first.shape == second.shape
    # An absolute part for gradients that cancel out to nothing.
    assert float((first - second).norm()) <= _TOLERANCE * float(second.norm()) + 1e-6


@pytest.mark.slow
@settings(max_examples=40)
@given(_examples(), st.sampled_from([_grpo_loss, _sft_loss]))
@example([_taught((1, 2, 3)), _taught((1, 2, 3))], _grpo_loss)  # equal sequences
@example([_taught((1, 2, 3)), _taught((1, 2))], _grpo_loss)  # the start of another
@example([_taught((1, 2, 3)), _taught((2, 2, 3))], _grpo_loss)  # nothing shared
@example([_taught((1, 2, 3))], _sft_loss)
def test_a_tree_has_the_losses_and_the_gradient_of_its_rows(
    module: PolicyModule, examples: list[Example], loss: Any
) -> None:
    rows = _learn(module, [collate(examples, 0, "cpu")], loss)
    tree = _learn(module, [collate_tree(examples, "cpu")], loss)
    for of_tree, of_rows in zip(tree, rows, strict=True):
        _assert_same(of_tree, of_rows)


@pytest.mark.slow
@settings(max_examples=25)
@given(_examples(), st.integers(4, 40))
def test_cut_trees_have_the_gradient_of_the_rows(
    module: PolicyModule, examples: list[Example], max_tokens: int
) -> None:
    gradients = []
    for tree in (False, True):
        plans = plan_micro_batches(examples, max_tokens, tree)
        batches = [build_micro_batch(plan, 0, "cpu") for plan in plans]
        gradients.append(_learn(module, batches, _grpo_loss)[3])
    _assert_same(gradients[1], gradients[0])


@pytest.mark.slow
@settings(max_examples=25)
@given(_examples(), st.integers(4, 40))
def test_packed_sequences_have_the_gradient_of_the_rows(
    module: PolicyModule, examples: list[Example], max_tokens: int
) -> None:
    gradients = []
    for packing in (False, True):
        plans = plan_micro_batches(examples, max_tokens, packing=packing)
        batches = [build_micro_batch(plan, 0, "cpu") for plan in plans]
        gradients.append(_learn(module, batches, _sft_loss)[3])
    _assert_same(*gradients)


@given(_examples(), st.integers(4, 60))
def test_every_example_with_a_target_is_planned_once_and_no_plan_is_larger_than_the_rows(
    examples: list[Example], max_tokens: int
) -> None:
    plans = plan_micro_batches(examples, max_tokens, tree=True)
    planned = [example for plan in plans for example in plan.examples]
    taught = [example for example in examples if example.targets]
    assert sorted(planned, key=repr) == sorted(taught, key=repr)
    for plan in plans:
        assert plan.tokens == build_micro_batch(plan, 0, "cpu").input_ids.numel()
        assert plan.tokens <= max_tokens or len(plan.examples) == 1
    rows = plan_micro_batches(examples, max_tokens)
    assert sum(plan.tokens for plan in plans) <= sum(plan.tokens for plan in rows)


@given(_examples())
def test_the_tree_has_every_distinct_prefix_once(examples: list[Example]) -> None:
    tree = build_prefix_tree([example.ids for example in examples])
    prefixes = {
        example.ids[:length] for example in examples for length in range(1, len(example.ids) + 1)
    }
    assert len(tree.ids) == len(prefixes)
    for sequence, path in zip(examples, tree.paths, strict=True):
        assert tuple(tree.ids[path]) == sequence.ids
        assert list(tree.depths[path]) == list(range(len(sequence.ids)))
        for ancestor, place in itertools.combinations(path, 2):
            assert ancestor < place < tree.ends[ancestor]


def test_a_token_that_several_rollouts_sampled_is_scored_once_with_each_weight() -> None:
    first = Example((1, 2, 3), (2,), (-0.5,), (1.0,))
    second = Example((1, 2, 3), (2,), (-0.7,), (-2.0,))
    batch = collate_tree([first, second], "cpu")
    assert batch.input_ids.tolist() == [[1, 2, 3]]
    assert batch.target_tokens.tolist() == [3]
    assert batch.hidden_columns.tolist() == [1]
    assert batch.occurrences is not None
    assert batch.occurrences.tolist() == [0, 0]
    assert batch.logprobs.tolist() == pytest.approx([-0.5, -0.7])
    assert batch.advantages.tolist() == [1.0, -2.0]


def _rollouts(group: int, count: int, prompt: int, answer: int) -> list[Example]:
    """Rollouts of a question with one prompt, and answers that differ from their first token."""
    start = [10_000 + group] * prompt
    return [
        _taught((*start, *[100 * group + rollout] * answer), range(prompt, prompt + answer))
        for rollout in range(count)
    ]


def test_trees_are_cut_between_groups() -> None:
    examples = [*_rollouts(1, 4, 200, 50), *_rollouts(2, 4, 200, 50)]
    plans = plan_micro_batches(examples[::2] + examples[1::2], 500, tree=True)
    assert [plan.tokens for plan in plans] == [400, 400]
    assert all(plan.is_tree for plan in plans)


def test_attention_is_counted_as_the_device_computes_it() -> None:
    examples = _rollouts(1, 4, 200, 50)
    (by_branch,) = plan_micro_batches(examples, 500, tree=True, device="cpu")
    (as_a_whole,) = plan_micro_batches(examples, 500, tree=True, device="cuda")
    assert by_branch.pairs == 250 * 250 + 3 * 50 * 250
    assert as_a_whole.pairs == 400 * 400


def test_trees_that_are_masked_as_a_whole_are_no_larger_than_their_mask_may_be() -> None:
    examples = _rollouts(1, 12, 2000, 1000)
    (by_branch,) = plan_micro_batches(examples, 20_000, tree=True, device="cpu")
    assert by_branch.tokens == 14_000
    for plan in plan_micro_batches(examples, 20_000, tree=True, device="cuda"):
        assert plan.tokens <= 8192 or not plan.is_tree


def test_sequences_that_share_nothing_stay_rows() -> None:
    examples = [_taught(tuple(range(1000 * n, 1000 * n + 300))) for n in range(8)]
    assert plan_micro_batches(examples, 1200, tree=True) == plan_micro_batches(examples, 1200)


def test_packing_pads_nothing_and_fills_its_micro_batches() -> None:
    examples = [_taught(tuple(range(1000 * n, 1000 * n + 100 + n))) for n in range(8)]
    plans = plan_micro_batches(examples, 330, packing=True)
    assert sum(plan.tokens for plan in plans) == sum(len(example.ids) for example in examples)
    assert [len(plan.examples) for plan in plans] == [3, 3, 2]


def test_a_long_sequence_stands_alone_as_a_row() -> None:
    examples = _rollouts(1, 3, 600, 50)
    plans = plan_micro_batches(examples, 400, tree=True)
    assert sorted(plan.tokens for plan in plans) == [650, 650, 650]
    assert not any(plan.is_tree for plan in plans)


# --- models -----------------------------------------------------------------------------

_SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}


def _build_model(kind: str, implementation: str = "sdpa", **settings: Any) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**_SIZES, **settings})
    return AutoModelForCausalLM.from_config(config, attn_implementation=implementation).eval()


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "other"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "phi3", "gpt_neox", "gemma"])
def test_models_of_full_attention_compute_in_a_tree_what_they_compute_in_rows(
    kind: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _build_model(kind)
    assert find_tree_problem(model) is None
    examples = [_taught((1, 2, 3, 4, 5)), _taught((1, 2, 6, 7)), _taught((1, 2, 6, 8, 9, 3))]
    examples.append(_taught((1, 2, 9)))  # a branch of one token, as when a rollout stops at once
    module = PolicyModule(model)
    rows = _learn(module, [collate(examples, 0, "cpu")], _grpo_loss)
    enable_tree_attention(model)
    if device == "other":
        # As on a GPU, where a tree is masked as a whole.
        monkeypatch.setattr(tree_attention, "_BRANCHING_DEVICE", "none")
    tree = _learn(module, [collate_tree(examples, "cpu")], _grpo_loss)
    for of_tree, of_rows in zip(tree, rows, strict=True):
        _assert_same(of_tree, of_rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("mistral", {"sliding_window": 4}, "sliding_window"),
        ("gemma3_text", {}, "sliding_attention"),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 1}, "sliding_attention"),
        ("mamba", {}, "eager"),
        ("bloom", {"n_head": 4}, "eager"),
        ("falcon", {"alibi": True}, "ALiBi"),
    ],
)
def test_models_whose_layers_see_otherwise_are_refused_with_the_reason(
    kind: str, settings: dict[str, Any], reason: str
) -> None:
    implementation = "eager" if kind in ("bloom", "mamba") else "sdpa"
    problem = find_tree_problem(_build_model(kind, implementation, **settings))
    assert problem is not None
    assert reason in problem


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["flex_attention", "eager"])
def test_an_implementation_that_takes_no_tree_is_refused_by_name(implementation: str) -> None:
    problem = find_tree_problem(_build_model("llama", implementation))
    assert problem is not None
    assert implementation in problem


@pytest.mark.slow
def test_a_model_that_was_not_prepared_refuses_a_tree() -> None:
    module = PolicyModule(_build_model("llama"))
    with pytest.raises(ValueError, match="not prepared"):
        module(collate_tree([_taught((1, 2, 3))], "cpu"))


@pytest.mark.slow
def test_a_prepared_model_computes_rows_as_before() -> None:
    model = _build_model("llama")
    batch = collate([_taught((1, 2, 3, 4, 5)), _taught((1, 2, 6))], 0, "cpu")
    before = _learn(PolicyModule(model), [batch], _grpo_loss)
    enable_tree_attention(model)
    after = _learn(PolicyModule(model), [batch], _grpo_loss)
    for figure, same in zip(before, after, strict=True):
        assert torch.equal(figure, same)


@pytest.mark.slow
@pytest.mark.parametrize(("config_type", "section"), [(SFTConfig, "sft"), (GRPOConfig, "grpo")])
def test_training_such_a_model_needs_the_setting_that_turns_trees_off(
    config_type: type[TrainerConfig], section: str, tmp_path: Path
) -> None:
    _build_model("mistral", sliding_window=4).save_pretrained(tmp_path)
    config = config_type(threads=1)
    optimiser = SFTConfig().optimiser
    with pytest.raises(ConfigError, match=rf"Set {section}\.tree: false"):
        load_backend(tmp_path, config, optimiser)
    load_backend(tmp_path, config.model_copy(update={"tree": False}), optimiser)
