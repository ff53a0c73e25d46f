"""A replica of the model: checks and tokenises requests, answers them whole or as streams.

The engine runs in its own thread, so the event loop always answers. Requests that
arrive together are generated together, streamed or not, and each leaves when it is finished. A
stream that nobody reads any more stops at the next token.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.config import EngineConfig, ServingConfig
from medr_ray.engines.base import BatchEngine, Generation, Progress, Sampling
from medr_ray.serving.messages import (
    ChatJob,
    Choice,
    Completion,
    Delta,
    Opening,
    Refusal,
    StreamItem,
)
from medr_ray.serving.model_cache import ModelCache
from medr_ray.serving.prompt_encoder import PromptEncoder

# More than any text has on average: words of a language, spaces of code and Chinese alike.
_MAX_BYTES_PER_TOKEN = 32
# Of ``ChatJob``: what only its default value of is taken.
_UNSUPPORTED = (
    *("prompt", "n", "top_p", "top_k", "presence_penalty", "frequency_penalty"),
    *("repetition_penalty", "logit_bias", "logprobs", "top_logprobs", "tools"),
    *("response_format", "echo"),
)
_DEFAULTS = vars(ChatJob("", ()))


@dataclass(frozen=True)
class _PreparedJob:
    """A job that was checked and tokenised."""

    prompt: tuple[int, ...]
    sampling: Sampling


class ModelServer:
    """Answers chat jobs with the models of a cache; ``max_tokens`` is the most a job may ask
    for."""

    def __init__(self, models: ModelCache, max_tokens: int) -> None:
        self._models = models
        self._max_tokens = max_tokens
        # Tokenising a long prompt takes seconds. One thread, because a tokenizer is not safe to use
        # from several.
        self._tokenizer_thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        self._requests = 0
        self._running = 0
        self._most_running = 0

    async def load_directory(self, name: str, directory: str) -> None:
        """Answer under ``name`` with the model of another directory: see ``ModelCache``. No request
        fails, and none is answered by two models."""
        await self._models.load_directory(name, directory)

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        """The whole answer."""
        refusal = self._check_limits(job)
        if refusal is not None:
            return refusal
        with self._models.lease_model(job.model) as model:
            prepared = await self._prepare_in_thread(job, model.encoder)
            if isinstance(prepared, Refusal):
                return prepared
            async with self._models.use_engine(model.directory) as engine:
                with self._count_running():
                    generation = await engine.generate(prepared.prompt, prepared.sampling)
        return _build_completion(prepared, generation, generation.text)

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        """A Refusal, or an Opening, Deltas and a Completion without text."""
        refusal = self._check_limits(job)
        if refusal is not None:
            yield refusal
            return
        with self._models.lease_model(job.model) as model:
            prepared = await self._prepare_in_thread(job, model.encoder)
            if isinstance(prepared, Refusal):
                yield prepared
                return
            # Sent before the engine is there: the gateway can start its response while the request
            # still waits for a model to be loaded.
            yield Opening(len(prepared.prompt))
            async with self._models.use_engine(model.directory) as engine:
                with self._count_running():
                    items = engine.stream(prepared.prompt, prepared.sampling)
                    # aclosing stops the generation at once when the reader leaves; without it the
                    # engine would generate until the garbage collector comes.
                    async with contextlib.aclosing(items):
                        async for item in items:
                            if isinstance(item, Progress):
                                yield Delta(item.text)
                            else:
                                yield _build_completion(prepared, item, "")

    def statistics(self) -> dict[str, int]:
        """Counters since the start; ``most_running`` is the largest number of requests answered at
        one time."""
        return {
            "requests": self._requests,
            "running": self._running,
            "most_running": self._most_running,
            "models_loaded": self._models.loaded_count,
        }

    @contextlib.contextmanager
    def _count_running(self) -> Iterator[None]:
        self._running += 1
        self._most_running = max(self._most_running, self._running)
        try:
            yield
        finally:
            self._running -= 1

    async def _prepare_in_thread(
        self, job: ChatJob, encoder: PromptEncoder
    ) -> _PreparedJob | Refusal:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tokenizer_thread, self._prepare_job, job, encoder)

    def _prepare_job(self, job: ChatJob, encoder: PromptEncoder) -> _PreparedJob | Refusal:
        """Check a job against its model; tokenise it."""
        size = sum(len(turn.content.encode("utf-8", "replace")) for turn in job.messages)
        if size > encoder.context * _MAX_BYTES_PER_TOKEN:
            # Known before the text is tokenised, which takes long for such a one.
            return Refusal(
                400,
                "context_length_exceeded",
                f"the model reads {encoder.context} tokens; this request has {size:,} bytes of "
                "messages, which are more",
                "messages",
            )
        try:
            prompt = encoder.encode_turns(job.messages)
        except Exception as error:  # templates raise jinja2 errors of their own making
            return Refusal(
                400,
                "invalid_messages",
                f"the model's chat template refuses these messages: {error}",
                "messages",
            )
        available = encoder.context - len(prompt)
        if available < (job.max_tokens or 1):
            return Refusal(
                400,
                "context_length_exceeded",
                f"the model reads {encoder.context} tokens; this request has {len(prompt)} "
                f"tokens of messages and {job.max_tokens or 1} to generate",
                "messages",
            )
        # Without a limit of its own a request may fill what its prompt leaves of the context.
        max_tokens = job.max_tokens or min(self._max_tokens, available)
        sampling = Sampling(max_tokens, job.temperature, job.stop, job.seed)
        return _PreparedJob(tuple(prompt), sampling)

    def _check_limits(self, job: ChatJob) -> Refusal | None:
        """The refusal of a job for an unknown model or for too many tokens."""
        self._requests += 1
        if job.model not in self._models:
            names = ", ".join(self._models.served_names)
            return Refusal(
                404,
                "model_not_found",
                f"no model {job.model!r} is served; there are {names}",
                "model",
            )
        for name in _UNSUPPORTED:
            if getattr(job, name) != _DEFAULTS[name]:
                return Refusal(400, "unsupported_parameter", f"{name} is not supported", name)
        if job.max_tokens is not None and job.max_tokens > self._max_tokens:
            return Refusal(
                422,
                "max_tokens_too_large",
                f"at most {self._max_tokens} tokens a request",
                "max_tokens",
            )
        return None


def _build_completion(prepared: _PreparedJob, generation: Generation, text: str) -> Completion:
    choice = Choice(0, text, generation.finish_reason)
    return Completion((choice,), len(prepared.prompt), len(generation.output_ids))


class ModelReplica(ModelServer):
    """The Serve deployment. The first of ``directories`` is loaded before the replica counts as
    ready, the others when they are asked for."""

    def __init__(
        self,
        directories: Mapping[str, str],
        engine: EngineConfig,
        serving: ServingConfig,
        trust_remote_code: bool = False,
    ) -> None:
        from medr_ray.serving.replica_address import listen_where_ray_does

        listen_where_ray_does()
        # Each place of the batch is a row of the key-value cache, so the server has its own number.
        engine_config = engine.model_copy(update={"max_batch": serving.max_batch})

        def load_engine(directory: Path) -> BatchEngine:
            # Imported in the replica: the driver, which binds the deployment, need not load torch.
            from medr_ray.engines.transformers import TransformersEngine

            return TransformersEngine(directory, engine_config, trust_remote_code)

        models = ModelCache(directories, load_engine, serving.loaded_models, trust_remote_code)
        self._main_name, self._main_directory = next(iter(directories.items()))
        models.preload(self._main_name)
        super().__init__(models, serving.max_tokens)

    async def reconfigure(self, user_config: Mapping[str, str | None]) -> None:
        """Called by Ray Serve with the deployment's ``user_config``, also when that changes:
        ``weights`` is the model directory to answer with under the first name, null for the one
        that was configured. New requests wait meanwhile."""
        directory = user_config["weights"] or self._main_directory
        await self.load_directory(self._main_name, directory)
