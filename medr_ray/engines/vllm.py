"""The vLLM engine behind the engine contract (``base.Engine``), on GPUs or a CPU.

It runs in an environment of its own (extra ``vllm``), because vLLM wants other versions of
libraries than training does: see ``factory`` and ``remote_engine``. What the room of engines
imports is all of this package that the environment needs.

An adapter that comes alone is not added to the weights, as the transformers engine does: vLLM
computes it beside them (``lora_request``), under a name that no other adapter has.

Seen on a CPU: everything but tensor parallelism and ``sleep``, which vLLM offers on GPUs alone;
on a CPU ``sleep`` holds requests back and keeps the memory.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.adapters import AdapterTransfer
from medr_ray.engines.base import (
    Capability,
    FinishReason,
    Generation,
    Progress,
    Sampling,
    Shaping,
)
from medr_ray.engines.factory import VLLM_ADAPTER_RANKS
from medr_ray.engines.managed_engine import ManagedEngine
from medr_ray.engines.weight_transfer import compute_checksum, read_weight_shapes

if TYPE_CHECKING:
    import torch

# What vLLM does by the names of ``Shaping``. Its reports would be of the shaped distribution
# (``logprobs_mode``), which ``TokenReport`` is not; its constraints are not ``TokenConstraint``.
VLLM_CAPABILITIES: frozenset[Capability] = frozenset(
    {
        "top_p",
        "top_k",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "logit_bias",
    }
)
_WORKER_EXTENSION = "medr_ray.engines.vllm_worker.WeightReceiver"
# The number of the engine's process, in the environment of its workers.
ENGINE_PROCESS_VARIABLE = "MEDR_ENGINE_PROCESS"
# Of the memory of the GPUs that an engine has for itself; vLLM's own default. The rest is for what
# it does not count, such as the libraries' own.
_GPU_MEMORY_FRACTION = 0.9
_CPU_CACHE_BYTES = 2**30  # for keys and values; vLLM would take half of the host's memory
_SEEDS = 2**63  # vLLM's seeds are signed numbers of 64 bits
# Before vLLM is imported, which reads them then. What the user has set stays.
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",  # nothing is sent to vLLM's makers
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # binding to cores fails in a container that has few
    "HF_HUB_OFFLINE": "1",  # a model is a directory
}
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # files there are memory that processes share


class VllmEngine(ManagedEngine):
    """A model in vLLM's processes. Make it in the event loop that uses it.

    ``seed`` decides the answers of requests without a seed of their own. ``compute_gap`` gives the
    seconds between two pieces of a stream, while so many streams run. Adapters may have
    ``adapter_rank`` at most; with 0 the engine takes none.
    """

    capabilities = VLLM_CAPABILITIES

    def __init__(
        self,
        model_dir: Path,
        config: EngineConfig,
        trust_remote_code: bool = False,
        seed: int = 0,
        compute_gap: Callable[[int], float] | None = None,
        adapter_rank: int = 0,
    ) -> None:
        super().__init__()
        self.takes_adapters = adapter_rank > 0
        _prepare_environment(config)
        from transformers import AutoTokenizer
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        from medr_ray.engines.chat import ChatRenderer
        from medr_ray.engines.turn_format import read_stop_ids

        self._model_dir = model_dir
        self._trust_remote_code = trust_remote_code
        tokenizer = AutoTokenizer.from_pretrained(model_dir, trust_remote_code=trust_remote_code)
        self.renderer = ChatRenderer(tokenizer, read_stop_ids(model_dir))
        self._compute_gap = compute_gap or (lambda streams: 0.0)
        self._streams = 0
        self._numbers = itertools.count()
        self._adapter_numbers = itertools.count(1)  # vLLM knows none below
        # Of the whole weights in use; None for those of ``model_dir``, until it is asked for.
        self._checksum: str | None = None
        self._has_whole_weights = True
        self._given_version: str | None = None  # as vLLM keeps it; None before the first update
        self._adapter_transfer: AdapterTransfer | None = None  # of an update by an adapter
        self._adapter_scaling = 0.0
        self._adapter: Any = None  # what answers beside the whole weights (LoRARequest)
        self._adapter_checksum = ""
        arguments = build_engine_arguments(model_dir, config, trust_remote_code, seed, adapter_rank)
        self._llm: Any = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))

    def close(self) -> None:
        """As ``SharedEngine.close``; ends vLLM's processes."""
        self._llm.shutdown()

    async def _sample(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        async with contextlib.aclosing(self._stream_pieces(prompt, sampling)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Generation):
                    return piece
        raise InfrastructureError("vLLM ended a request without an answer")

    async def _stream_pieces(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[Progress | Generation, None]:
        self._streams += 1
        try:
            ids: list[int] = []
            logprobs: list[float] = []
            text = ""
            reason = None
            async for part in self._read_outputs(prompt, sampling):
                ids += part.token_ids
                logprobs += _read_logprobs(part)
                reason = part.finish_reason
                if part.text:
                    text += part.text
                    yield Progress(part.text)
                    if reason is None:
                        # vLLM puts together what comes meanwhile.
                        await asyncio.sleep(self._compute_gap(self._streams))
            yield Generation(
                tuple(ids), tuple(logprobs), text, _read_finish_reason(reason), self._version
            )
        finally:
            self._streams -= 1

    async def _read_outputs(self, prompt: Sequence[int], sampling: Sampling) -> AsyncIterator[Any]:
        """vLLM's pieces of an answer (CompletionOutput)."""
        from vllm import TokensPrompt

        outputs = self._llm.generate(
            TokensPrompt(prompt_token_ids=list(prompt)),
            build_sampling_params(sampling, sorted(self.renderer.stop_ids)),
            request_id=f"medr-{next(self._numbers)}",
            lora_request=self._adapter,
        )
        try:
            # vLLM drops the request of a generator that is closed.
            async with contextlib.aclosing(outputs):
                async for output in outputs:
                    yield output.outputs[0]
        except Exception as error:
            raise InfrastructureError(f"vLLM failed: {type(error).__name__}: {error}") from error

    async def _begin_update(self, adapter_scaling: float | None) -> None:
        self._adapter_transfer = None
        if adapter_scaling is not None and not self._has_whole_weights:
            raise InfrastructureError("an adapter needs whole weights to be added to: send them")
        await self._llm.pause_generation(mode="wait", clear_cache=True)
        if adapter_scaling is None:
            # What vLLM has of the weights before is gone with the first that come.
            self._has_whole_weights = False
            await self._call_workers("medr_begin_weights")
            return
        shapes = await asyncio.to_thread(
            read_weight_shapes, self._model_dir, self._trust_remote_code
        )
        self._adapter_transfer = AdapterTransfer(shapes)
        self._adapter_scaling = adapter_scaling

    async def _write_weights(self, bucket: "Mapping[str, torch.Tensor]") -> None:
        if self._adapter_transfer is not None:
            self._adapter_transfer.take_bucket(bucket)
            return
        path = await asyncio.to_thread(_write_bucket, bucket)
        try:
            await self._call_workers("medr_add_weights", str(path))
        finally:
            # Workers that hold a part of it have it mapped: it stays in memory until they drop it.
            path.unlink()

    async def _finish_update(self) -> str:
        if self._adapter_transfer is not None:
            checksum = await self._finish_adapter(self._adapter_transfer)
        else:
            checksum = await self._finish_whole_weights()
        self._adapter_transfer = None
        self._given_version = str(self._require_update())
        await self._llm.update_weight_version(self._given_version)
        await self._llm.resume_generation()
        return checksum

    async def _finish_whole_weights(self) -> str:
        answers = await self._call_workers("medr_finish_weights")
        checksums = {answer["checksum"] for answer in answers}
        if len(checksums) != 1:
            raise InfrastructureError("the weights differ between the engine's workers")
        self._checksum = checksums.pop()
        self._has_whole_weights = True
        # The workers have dropped it.
        self._adapter = None
        return self._checksum

    async def _finish_adapter(self, transfer: AdapterTransfer) -> str:
        """Let vLLM load the adapter; the one before it is dropped."""
        from vllm.lora.request import LoRARequest

        checksum = transfer.finish()
        number = next(self._adapter_numbers)
        folder = await asyncio.to_thread(_write_adapter, transfer, self._adapter_scaling)
        # vLLM tells adapters apart by both, and may be given the same version twice.
        adapter = LoRARequest(f"medr-{self._require_update()}-{number}", number, str(folder))
        try:
            loaded = await self._llm.add_lora(adapter)
        except Exception as error:
            raise InfrastructureError(
                f"vLLM failed to load an adapter: {type(error).__name__}: {error}"
            ) from error
        finally:
            shutil.rmtree(folder)
        if not loaded:
            raise InfrastructureError("vLLM did not load an adapter, and does not say why")
        self._adapter = adapter
        self._adapter_checksum = checksum
        return checksum

    async def _compute_checksum(self) -> str:
        """Of whole weights their checksum. With an adapter, which vLLM keeps beside them, one of
        both and of the scaling: it is the same in engines with the same weights."""
        version = await self._llm.get_weight_version()
        if self._checksum is None:
            self._checksum = await asyncio.to_thread(
                _compute_file_checksum, self._model_dir, self._trust_remote_code
            )
        if self._given_version not in (None, version):
            raise InfrastructureError(
                f"vLLM has weights of version {version}; it was given version {self._given_version}"
            )
        if self._adapter is None:
            return self._checksum
        if self._adapter.lora_int_id not in await self._llm.list_loras():
            raise InfrastructureError(f"vLLM has lost the adapter {self._adapter.lora_name}")
        parts = (self._checksum, self._adapter_checksum, repr(self._adapter_scaling))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    async def _drop_cache(self) -> None:
        if not await self._llm.reset_prefix_cache():
            raise InfrastructureError("vLLM did not forget what it has read: requests are in work")

    async def _release_memory(self, keep_weights: bool) -> None:
        self._has_whole_weights = self._has_whole_weights and keep_weights
        await self._llm.sleep(level=1 if keep_weights else 2, mode="wait")

    async def _take_memory(self) -> None:
        await self._llm.wake_up()

    async def _call_workers(self, method: str, *arguments: Any) -> list[dict[str, str]]:
        """What every worker answers. Raises InfrastructureError when one of them refuses."""
        try:
            answers: list[dict[str, str]] = await self._llm.collective_rpc(method, args=arguments)
        except Exception as error:
            raise InfrastructureError(
                f"vLLM failed to take in weights: {type(error).__name__}: {error}"
            ) from error
        for answer in answers:
            if "error" in answer:
                raise InfrastructureError(answer["error"])
        return answers


def build_engine_arguments(
    model_dir: Path, config: EngineConfig, trust_remote_code: bool, seed: int, adapter_rank: int = 0
) -> dict[str, Any]:
    """The arguments of vLLM's AsyncEngineArgs."""
    arguments: dict[str, Any] = {
        "model": str(model_dir),
        "trust_remote_code": trust_remote_code,
        "dtype": _select_dtype(config),
        "tensor_parallel_size": config.tensor_parallel,
        "max_num_seqs": config.max_batch,
        # As much of the model's context as the memory has room for.
        "max_model_len": -1,
        "seed": seed,
        "enable_prefix_caching": True,
        # Of the distribution that tokens are drawn from, as ``Generation.logprobs`` are.
        "logprobs_mode": "processed_logprobs",
        # Not the model's own sampling defaults (generation_config.json): training wants the full
        # distribution.
        "generation_config": "vllm",
        "worker_extension_cls": _WORKER_EXTENSION,
        "disable_log_stats": True,
    }
    if adapter_rank:
        arguments |= {
            "enable_lora": True,
            "max_lora_rank": min(rank for rank in VLLM_ADAPTER_RANKS if rank >= adapter_rank),
            # One at a time, and none that is kept for later.
            "max_loras": 1,
            "max_cpu_loras": 1,
        }
    if _runs_on_cpu(config):
        # Compiling for a CPU takes longer than a small model's rollouts.
        arguments |= {"enforce_eager": True}
        if not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
            arguments |= {"kv_cache_memory_bytes": _CPU_CACHE_BYTES}
    else:
        share = min(config.gpu_share, 1.0)
        arguments |= {
            "gpu_memory_utilization": _GPU_MEMORY_FRACTION * share,
            "enable_sleep_mode": True,
        }
    return arguments


def build_sampling_params(sampling: Sampling, stop_ids: Sequence[int]) -> Any:
    """vLLM's SamplingParams for a request; ``stop_ids`` are the tokens that end a turn."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    shaping = sampling.shaping or Shaping()
    return SamplingParams(
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        seed=None if sampling.seed is None else sampling.seed % _SEEDS,
        stop=list(sampling.stop),
        # Those of the chat template decide, not the model's own end token.
        stop_token_ids=list(stop_ids),
        ignore_eos=True,
        top_p=shaping.top_p,
        top_k=shaping.top_k,
        presence_penalty=shaping.presence_penalty,
        frequency_penalty=shaping.frequency_penalty,
        repetition_penalty=shaping.repetition_penalty,
        logit_bias=dict(shaping.logit_bias) or None,
        logprobs=0,  # of the token that was drawn alone
        output_kind=RequestOutputKind.DELTA,
    )


def _read_logprobs(part: Any) -> Iterator[float]:
    for token, candidates in zip(part.token_ids, part.logprobs, strict=True):
        yield candidates[token].logprob


def _read_finish_reason(reason: str | None) -> FinishReason:
    if reason == "stop":
        return "stop"
    if reason == "length":
        return "length"
    raise InfrastructureError(f"vLLM ended a request with {reason!r}")


def _prepare_environment(config: EngineConfig) -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ[ENGINE_PROCESS_VARIABLE] = str(os.getpid())
    if _runs_on_cpu(config):
        # Not only where it is unset: Ray sets it to the CPUs that an actor takes.
        os.environ["OMP_NUM_THREADS"] = str(config.threads)


def _runs_on_cpu(config: EngineConfig) -> bool:
    import torch

    return config.device == "cpu" or not torch.cuda.is_available()


def _select_dtype(config: EngineConfig) -> str:
    from medr_ray.engines.number_format import select_dtype

    if config.dtype != "auto":
        return config.dtype
    return str(select_dtype("cpu" if _runs_on_cpu(config) else "cuda")).removeprefix("torch.")


def _write_adapter(transfer: AdapterTransfer, scaling: float) -> Path:
    """A folder in shared memory with an adapter as PEFT saves it."""
    from safetensors.torch import save_file

    folder = Path(tempfile.mkdtemp(prefix="medr-adapter-", dir=_find_shared_memory()))
    description = {
        "peft_type": "LORA",
        "r": transfer.rank,
        "lora_alpha": scaling * transfer.rank,
        "target_modules": sorted({name.split(".")[-2] for name in transfer.weights}),
    }
    try:
        save_file(transfer.tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps(description))
    except BaseException:
        shutil.rmtree(folder)
        raise
    return folder


def _find_shared_memory() -> Path | None:
    """Where files are memory; None, for a temporary folder, where there is no such place."""
    return _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None


def _write_bucket(bucket: "Mapping[str, torch.Tensor]") -> Path:
    """A file in shared memory with these tensors."""
    from safetensors.torch import save_file

    handle, name = tempfile.mkstemp(".safetensors", "medr-weights-", _find_shared_memory())
    os.close(handle)
    path = Path(name)
    try:
        save_file({name: tensor.contiguous() for name, tensor in bucket.items()}, path)
    except BaseException:
        path.unlink()
        raise
    return path


def _compute_file_checksum(model_dir: Path, trust_remote_code: bool) -> str:
    """The checksum of the weights in a model's directory."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=torch.bfloat16, trust_remote_code=trust_remote_code
    )
    return compute_checksum(dict(model.named_parameters()))
