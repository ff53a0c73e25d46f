"""Streams of weights: buckets within their bounds, and models written from them, exactly those that
were trained."""

import asyncio
import errno
import gc
import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from support.small_disk import empty_disk, fill_disk, mount_small_disk
from support.tiny_model import build_tiny_model

from medr_ray.core.config import EngineConfig, OptimiserConfig, TrainerConfig
from medr_ray.core.errors import DataError, InfrastructureError
from medr_ray.engines.local_engine import LocalEngine
from medr_ray.engines.weight_checksum import WeightChecksum
from medr_ray.engines.weight_transfer import compute_checksum
from medr_ray.training import export
from medr_ray.training.backends import make_backend
from medr_ray.training.batches import Example
from medr_ray.training.export import pack_buckets, save_model
from medr_ray.training.gradients import accumulate_gradients

MEBIBYTE = 2**20
Stream = Iterator[tuple[str, torch.Tensor]]


class LiveBytes:
    """Counts the bytes of the tensors that a stream yielded and that somebody still holds."""

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    def count(self, stream: Stream) -> Stream:
        for name, tensor in stream:
            self.now += tensor.nbytes
            self.peak = max(self.peak, self.now)
            weakref.finalize(tensor, self._forget, tensor.nbytes)
            yield name, tensor
            del tensor

    def _forget(self, size: int) -> None:
        self.now -= size


class StreamingBackend:
    """A backend whose weights are those of a model, plus one."""

    def __init__(self, model: Any, left_out: str = "", added: str = "") -> None:
        self.weights = {
            name: (value.detach().float() + 1).to(torch.bfloat16)
            for name, value in model.named_parameters()
            if name != left_out
        }
        if added:
            self.weights[added] = torch.ones(2, dtype=torch.bfloat16)

    def stream_weights(self) -> Stream:
        yield from self.weights.items()


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    tensors = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return tensors


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 60))
def test_buckets_keep_the_order_and_their_bound_and_at_most_two_are_alive(
    lengths: list[int], limit: int
) -> None:
    # Behind other tests there are millions of objects, which every collection would look through.
    gc.freeze()
    live = LiveBytes()
    stream = ((str(i), torch.zeros(n, dtype=torch.uint8)) for i, n in enumerate(lengths))
    names: list[str] = []
    for bucket in pack_buckets(live.count(stream), limit):
        size = sum(tensor.nbytes for tensor in bucket.values())
        assert size <= max(limit, max(lengths))
        assert size <= limit or len(bucket) == 1
        names += bucket
    assert names == [str(i) for i in range(len(lengths))]
    gc.collect()
    gc.unfreeze()
    assert live.now == 0
    assert live.peak <= 2 * max(limit, max(lengths))


def test_a_checksum_knows_no_order_and_sees_every_change() -> None:
    def sum_of(*tensors: tuple[str, torch.Tensor]) -> str:
        checksum = WeightChecksum()
        for name, tensor in tensors:
            checksum.add(name, tensor)
        return checksum.hexdigest()

    a = ("a", torch.arange(6, dtype=torch.bfloat16))
    b = ("b", torch.tensor(2.0, dtype=torch.bfloat16))
    assert sum_of(a, b) == sum_of(b, a)
    assert sum_of(a, b) == sum_of(("a", a[1].float()), b)
    different = [
        sum_of(a, b),
        sum_of(a),
        sum_of(a, b, b),
        sum_of(a, b, b, b),
        sum_of(("a", a[1].reshape(2, 3)), b),
        sum_of(("a", a[1].flip(0)), b),
        sum_of(("b", a[1]), ("a", b[1])),
    ]
    assert len(set(different)) == len(different)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("source"), context=128)


def test_a_small_step_on_a_cpu_reaches_the_engine_and_the_saved_model_whole(
    source: Path, tmp_path: Path
) -> None:
    config = TrainerConfig(dtype="float32", threads=1)
    optimiser = OptimiserConfig(learning_rate=1e-5)
    backend = make_backend(source, config, optimiser, torch.device("cpu"))
    example = Example((1, 2, 3, 4), (1, 2, 3), (0.0,) * 3, (1.0,) * 3)
    accumulate_gradients(backend, [example], 256, 0, lambda batch, logprobs, _: -logprobs.sum() / 3)
    # Of such a step bfloat16 would keep next to nothing.
    assert backend.step(1e-5).applied
    trained = {name: value.detach().clone() for name, value in backend.model.named_parameters()}
    before = dict(load(source).named_parameters())
    changed = sum(bool((trained[name] != before[name]).any()) for name in trained)
    assert changed == len(trained)

    engine = LocalEngine(source, EngineConfig(dtype="float32", device="cpu", threads=1))

    async def send() -> None:
        await engine.begin_weights(1)
        for bucket in pack_buckets(backend.stream_weights()):
            await engine.add_weights(bucket)
        await engine.finish_weights(compute_checksum(trained))

    try:
        asyncio.run(send())
        served = dict(engine._engine.model.named_parameters())
    finally:
        engine.close()
    save_model(backend, source, tmp_path / "model")
    saved = dict(load(tmp_path / "model").named_parameters())
    for name, weight in trained.items():
        assert torch.equal(served[name], weight), name
        assert torch.equal(saved[name], weight), name
    description = json.loads((tmp_path / "model" / "config.json").read_text())
    assert description["dtype"] == "float32"


def test_a_saved_model_is_the_trained_one_with_all_its_source_came_with(
    source: Path, tmp_path: Path
) -> None:
    (source / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    backend = StreamingBackend(load(source))
    save_model(backend, source, tmp_path / "model", max_bytes=20_000)
    saved = load(tmp_path / "model")
    for name, value in saved.named_parameters():
        assert torch.equal(value, backend.weights[name].float()), name
    index = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(backend.weights)
    shards = {path.name: path.stat().st_size for path in (tmp_path / "model").glob("*.safetensors")}
    assert set(index["weight_map"].values()) == set(shards)
    assert len(shards) > 2
    largest = max(weight.nbytes for weight in backend.weights.values())
    assert max(shards.values()) < max(20_000, largest) + 2_000  # its header
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config.pop("dtype") == "bfloat16"  # as the stream has them
    original = json.loads((source / "config.json").read_text())
    del original["dtype"]
    assert config == original
    for name in ("generation_config.json", "tokenizer.json", "chat_template.jinja"):
        assert (tmp_path / "model" / name).read_bytes() == (source / name).read_bytes()


def test_a_model_of_one_bucket_is_one_file_without_index(source: Path, tmp_path: Path) -> None:
    save_model(StreamingBackend(load(source)), source, tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").glob("*safetensors*")] == [
        "model.safetensors"
    ]


def test_buffers_that_are_no_parameters_and_merged_experts_are_saved_as_their_source_has_them(
    tmp_path: Path,
) -> None:
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    torch.manual_seed(0)
    original = DeepseekV3ForCausalLM(
        DeepseekV3Config(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=32,
            moe_intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            n_routed_experts=4,
            n_group=2,
            topk_group=1,
            num_experts_per_tok=2,
            first_k_dense_replace=1,
            q_lora_rank=8,
            kv_lora_rank=8,
            qk_rope_head_dim=8,
            v_head_dim=8,
            qk_nope_head_dim=8,
        )
    )
    buffer = "model.layers.1.mlp.gate.e_score_correction_bias"
    original.state_dict()[buffer].uniform_()
    original.save_pretrained(tmp_path / "source")
    before = read_tensors(tmp_path / "source")
    assert "model.layers.1.mlp.experts.0.gate_proj.weight" in before
    backend = StreamingBackend(load(tmp_path / "source"))
    assert buffer not in backend.weights

    save_model(backend, tmp_path / "source", tmp_path / "model", max_bytes=4_000)
    after = read_tensors(tmp_path / "model")
    assert after.keys() == before.keys()
    assert torch.equal(after[buffer], before[buffer])
    for name, value in load(tmp_path / "model").named_parameters():
        assert torch.equal(value, backend.weights[name].float()), name


def test_tied_weights_are_saved_once(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "source")
    backend = StreamingBackend(load(tmp_path / "source"))
    save_model(backend, tmp_path / "source", tmp_path / "model")
    assert "lm_head.weight" not in read_tensors(tmp_path / "model")
    saved = load(tmp_path / "model")
    assert torch.equal(saved.lm_head.weight, saved.model.embed_tokens.weight)
    assert torch.equal(saved.lm_head.weight, backend.weights["model.embed_tokens.weight"].float())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"left_out": "lm_head.weight"}, "1 missing: lm_head.weight"),
        ({"added": "module.lm_head.weight"}, "1 unexpected: module.lm_head.weight"),
    ],
)
def test_wrong_names_are_an_error_and_the_earlier_model_stays(
    source: Path, tmp_path: Path, changes: dict[str, str], complaint: str
) -> None:
    target = tmp_path / "model"
    save_model(StreamingBackend(load(source)), source, target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    with pytest.raises(DataError, match=complaint):
        save_model(StreamingBackend(load(source), **changes), source, target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_is_saved_over_an_earlier_one(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    save_model(StreamingBackend(load(source)), source, target)
    backend = StreamingBackend(load(target))
    save_model(backend, source, target)
    assert torch.equal(load(target).lm_head.weight, backend.weights["lm_head.weight"].float())
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("step", ["save_file", "replace_model"])
def test_a_full_disk_leaves_the_earlier_model_and_no_remains(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "model"
    save_model(StreamingBackend(load(source)), source, target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(export, step, refuse)
        with pytest.raises(OSError, match="No space"):
            save_model(StreamingBackend(load(target)), source, target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_disk_that_is_really_full_leaves_the_earlier_model(source: Path, tmp_path: Path) -> None:
    with mount_small_disk(tmp_path / "disk", 2 * MEBIBYTE) as disk:
        target = disk / "model"
        save_model(StreamingBackend(load(source)), source, target)
        before = {path.name: path.read_bytes() for path in target.iterdir()}
        # First the weights do not fit, then what is written behind them.
        weights = (target / "model.safetensors").stat().st_size
        for left in (weights // 2, weights + 8192):
            fill_disk(disk, left)
            with pytest.raises((InfrastructureError, OSError), match="No space left on device"):
                save_model(StreamingBackend(load(target)), source, target)
            empty_disk(disk)
            assert {path.name: path.read_bytes() for path in target.iterdir()} == before
            assert [path.name for path in disk.iterdir()] == ["model"]
        backend = StreamingBackend(load(target))
        save_model(backend, source, target)
        assert torch.equal(load(target).lm_head.weight, backend.weights["lm_head.weight"].float())


def test_a_kill_while_models_change_places_loses_neither(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    save_model(StreamingBackend(load(source)), source, target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    # As a kill leaves them: the earlier model moved away, the new one not yet in its place.
    target.rename(tmp_path / ".model.replaced")
    (tmp_path / ".model.0123abcd.partial").mkdir()
    with pytest.raises(DataError, match="missing"):
        save_model(StreamingBackend(load(source), left_out="lm_head.weight"), source, target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
