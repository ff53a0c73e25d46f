"""Supervised fine-tuning: a step of ours against transformers' ``Trainer`` and TRL's
``SFTTrainer``, on the same dialogues with the same tokens in the loss.

All three train the embedded policy, with the same threads and number format and with AdamW. Each
takes the same batches of four dialogues, whose losses and gradient norms are compared before the
times, and has a process of its own: ours with the environment that a training worker has, the
others with that of the command. The dialogues are those of a finished run, ``runs/quickstart`` of
the checkout or the folder that MEDR_BENCH_RUN names. ``quick`` takes one batch.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from medr_ray.core.config import OptimiserConfig, SFTConfig
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import RunDirectory
from medr_ray.core.session import WORKER_ENVIRONMENT
from medr_ray.engines.number_format import select_dtype
from medr_ray.engines.weights import model_path
from medr_ray.training.artifacts import SFT_EXAMPLES
from medr_ray.training.backends import make_backend
from medr_ray.training.batches import Example, MicroBatch
from medr_ray.training.gradients import accumulate_gradients
from medr_ray.training.losses import sft_loss
from medr_ray.training.micro_batches import plan_micro_batches
from medr_ray.training.tree_attention import enable_tree_attention

_RUN = Path(__file__).resolve().parents[2] / "runs" / "quickstart"
_MODEL = "embedded:smollm2-135m-instruct"
_BATCH, _STEPS, _QUICK_STEPS = 4, 4, 1
_MICRO_TOKENS = 1280  # as in configs/quickstart.yaml
_OPTIMISER = OptimiserConfig(learning_rate=1e-5)
_LEAST_RATIO = 1.5
_PEERS = ("transformers", "trl")
# Of the loss, and of the gradient's norm: in bf16, whose precision is 0.4 %, products of other
# shapes are rounded differently.
_LOSS_TOLERANCE, _NORM_TOLERANCE = 0.01, 0.05


@dataclass(frozen=True)
class _Steps:
    """Seconds of all steps together, the wall's and the processor's, which other work on the
    machine disturbs less; loss and gradient norm of each."""

    seconds: float
    processor_seconds: float
    losses: list[float]
    norms: list[float]


def measure(quick: bool) -> Iterator[Measurement]:
    directory = _open_run()
    if not directory.exists(SFT_EXAMPLES.path):
        for library in _PEERS:
            yield skip_measurement("SFT tokens/s", library, "make demo, or MEDR_BENCH_RUN")
        return
    steps = _QUICK_STEPS if quick else _STEPS
    examples = _read_dialogues(directory, steps * _BATCH)
    batches = [examples[start : start + _BATCH] for start in range(0, len(examples), _BATCH)]
    tokens = sum(len(example.ids) for example in examples)
    ours = _run_side("ours", len(examples))
    for library in _PEERS:
        measure_name = f"SFT tokens/s beside {library}"
        if importlib.util.find_spec(library) is None:
            yield skip_measurement(
                measure_name, library, f"pip install {library}", tokens / ours.seconds, "tokens/s"
            )
            continue
        peer = _run_side(library, len(examples))
        _compare(library, ours, peer)
        yield build_measurement(
            measure_name,
            tokens / ours.seconds,
            tokens / peer.seconds,
            library,
            least_ratio=_LEAST_RATIO,
            unit="tokens/s",
            note=(
                f"{len(batches)} steps of {_BATCH} dialogues, {tokens} tokens; first loss "
                f"{ours.losses[0]:.4f} and {peer.losses[0]:.4f}, gradient norm "
                f"{ours.norms[0]:.3f} and {peer.norms[0]:.3f}; processor seconds "
                f"{ours.processor_seconds:.1f} and {peer.processor_seconds:.1f}"
            ),
        )
    yield _count_tokens(batches)


def _open_run() -> RunDirectory:
    return RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_RUN))


def _read_dialogues(directory: RunDirectory, count: int) -> list[Example]:
    """The first dialogues of the run, each token with the weight of every other."""
    examples = []
    for row in directory.read_table(SFT_EXAMPLES.path, ["ids", "mask"]).slice(0, count).to_pylist():
        targets = [place for place, is_target in enumerate(row["mask"]) if is_target and place]
        examples.append(Example(tuple(row["ids"]), tuple(targets)))
    return examples


def _count_tokens(batches: Sequence[Sequence[Example]]) -> Measurement:
    counts = []
    for tree in (True, False):
        plans = [
            plan for batch in batches for plan in plan_micro_batches(batch, _MICRO_TOKENS, tree)
        ]
        counts.append(sum(plan.tokens for plan in plans))
    return build_measurement(
        "tokens that the model computes, prefix trees beside padded rows",
        *counts,
        "padded rows",
        lower_is_better=True,
        unit="tokens",
        note="dialogues of one batch share the system message, and whatever else they begin with",
    )


def _run_side(side: str, count: int) -> _Steps:
    """What a process of its own comes to that trains ``side`` on the first dialogues."""
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    if side == "ours":
        environment = {**WORKER_ENVIRONMENT, **environment}
    completed = subprocess.run(
        [sys.executable, "-P", __file__, side, str(count)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    # Before it the trainers print their logs.
    return _Steps(**json.loads(completed.stdout.splitlines()[-1]))


def _train_ours(examples: Sequence[Example]) -> _Steps:
    batches = [examples[start : start + _BATCH] for start in range(0, len(examples), _BATCH)]
    config = SFTConfig(threads=torch.get_num_threads(), micro_tokens=_MICRO_TOKENS)
    backend = make_backend(model_path(_MODEL), config, _OPTIMISER, torch.device("cpu"))
    enable_tree_attention(backend.model)
    losses: list[float] = []
    norms: list[float] = []
    started, processor_started = time.perf_counter(), time.process_time()
    for batch in batches:
        targets = sum(len(example.targets) for example in batch)

        def compute_loss(
            batch: MicroBatch, logprobs: torch.Tensor, _: torch.Tensor, targets: int = targets
        ) -> torch.Tensor:
            return sft_loss(logprobs, batch.advantages) / targets

        losses.append(
            accumulate_gradients(
                backend, batch, config.micro_tokens, 0, compute_loss, tree=config.tree
            )
        )
        norms.append(backend.step(_OPTIMISER.learning_rate).norm)
    seconds = time.perf_counter() - started
    return _Steps(seconds, time.process_time() - processor_started, losses, norms)


def _train_with_transformers(examples: Sequence[Example]) -> _Steps:
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    tokenizer = _load_tokenizer()
    # Of the library's collators this is the one that pads labels, with -100.
    collator = DataCollatorForSeq2Seq(tokenizer, padding=True)
    with tempfile.TemporaryDirectory() as folder:
        return _run_peer(
            Trainer,
            args=TrainingArguments(output_dir=folder, **_peer_settings(len(examples))),
            model=_load_model(),
            train_dataset=_to_dataset(examples),
            data_collator=collator,
        )


def _train_with_trl(examples: Sequence[Example]) -> _Steps:
    from trl import SFTConfig as TRLConfig
    from trl import SFTTrainer

    with tempfile.TemporaryDirectory() as folder:
        return _run_peer(
            SFTTrainer,
            args=TRLConfig(
                output_dir=folder,
                max_length=None,
                packing=False,
                gradient_checkpointing=False,
                dataset_kwargs={"skip_prepare_dataset": True},
                **_peer_settings(len(examples)),
            ),
            model=_load_model(),
            train_dataset=_to_dataset(examples),
            processing_class=_load_tokenizer(),
        )


def _run_peer(trainer_type: Any, **arguments: Any) -> _Steps:
    """Train with a ``Trainer`` of transformers or one derived from it."""
    from transformers import TrainerCallback

    class Stopwatch(TrainerCallback):
        """Adds up the seconds between the beginning and the end of a step."""

        def __init__(self) -> None:
            self.seconds, self.processor_seconds = 0.0, 0.0
            self._started, self._processor_started = 0.0, 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self._started, self._processor_started = time.perf_counter(), time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds += time.perf_counter() - self._started
            self.processor_seconds += time.process_time() - self._processor_started

    stopwatch = Stopwatch()
    trainer = trainer_type(**arguments, callbacks=[stopwatch])
    trainer.train()
    rows = [row for row in trainer.state.log_history if "grad_norm" in row]
    losses = [float(row["loss"]) for row in rows]
    norms = [float(row["grad_norm"]) for row in rows]
    return _Steps(stopwatch.seconds, stopwatch.processor_seconds, losses, norms)


def _peer_settings(count: int) -> dict[str, Any]:
    """The options that both peers have: ours as far as they go."""
    return {
        "per_device_train_batch_size": _BATCH,
        "max_steps": count // _BATCH,
        "train_sampling_strategy": "sequential",
        "learning_rate": _OPTIMISER.learning_rate,
        "lr_scheduler_type": "constant",
        "adam_beta1": _OPTIMISER.beta1,
        "adam_beta2": _OPTIMISER.beta2,
        "weight_decay": _OPTIMISER.weight_decay,
        "max_grad_norm": _OPTIMISER.clip_norm,
        "bf16": select_dtype("cpu") == torch.bfloat16,
        "use_cpu": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def _load_model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_path(_MODEL), dtype=torch.float32)


def _load_tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_path(_MODEL))


def _to_dataset(examples: Sequence[Example]) -> Any:
    from datasets import Dataset

    rows = []
    for example in examples:
        targets = set(example.targets)
        labels = [token if place in targets else -100 for place, token in enumerate(example.ids)]
        rows.append({"input_ids": list(example.ids), "labels": labels})
    return Dataset.from_list(rows)


def _compare(library: str, ours: _Steps, peer: _Steps) -> None:
    """Raise RuntimeError when a step came to another loss or gradient."""
    if len(ours.losses) != len(peer.losses):
        raise RuntimeError(f"{library} took {len(peer.losses)} steps, not {len(ours.losses)}")
    pairs = [
        ("loss", ours.losses, peer.losses, _LOSS_TOLERANCE),
        ("gradient norm", ours.norms, peer.norms, _NORM_TOLERANCE),
    ]
    for figure, own, others, tolerance in pairs:
        for step, (mine, other) in enumerate(zip(own, others, strict=True), 1):
            if abs(mine - other) > tolerance * abs(other):
                raise RuntimeError(f"step {step}: {figure} {mine} here, {other} of {library}")


def _train_side(side: str, count: int) -> _Steps:
    train = {
        "ours": _train_ours,
        "transformers": _train_with_transformers,
        "trl": _train_with_trl,
    }[side]
    return train(_read_dialogues(_open_run(), count))


if __name__ == "__main__":
    print(json.dumps(asdict(_train_side(sys.argv[1], int(sys.argv[2])))))
