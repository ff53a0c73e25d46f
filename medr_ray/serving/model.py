"""A replica of the model: checks and tokenises requests, answers them whole or as streams.

What holds: the engine runs in a thread beside the event loop, so the replica always answers;
requests that arrive together are generated together, streamed or not, and each leaves when it is
done; what nobody reads any more stops at the next token.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.config import EngineConfig, ServingConfig
from medr_ray.engines.base import BatchEngine, Generation, Sampling
from medr_ray.serving.messages import ChatJob, Completion, Delta, Opening, Refusal, StreamItem
from medr_ray.serving.model_cache import ModelShelf


@dataclass(frozen=True)
class _Prepared:
    """A job that was checked and tokenised."""

    directory: str
    prompt: tuple[int, ...]
    sampling: Sampling


class ModelServer:
    """Answers chat jobs with the models of a shelf."""

    def __init__(self, shelf: ModelShelf, max_tokens: int) -> None:
        self._shelf, self._max_tokens = shelf, max_tokens
        self._requests = self._running = self._most_running = 0

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        """The whole answer."""
        prepared = self._prepare(job)
        if isinstance(prepared, Refusal):
            return prepared
        async with self._shelf.engine(prepared.directory) as engine:
            with self._counted():
                done = await engine.generate(prepared.prompt, prepared.sampling)
        return _completion(prepared, done, done.text)

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        """A Refusal, or an Opening, Deltas and a Completion without text."""
        prepared = self._prepare(job)
        if isinstance(prepared, Refusal):
            yield prepared
            return
        yield Opening(len(prepared.prompt))
        async with self._shelf.engine(prepared.directory) as engine:
            with self._counted():
                async with contextlib.aclosing(
                    engine.stream(prepared.prompt, prepared.sampling)
                ) as items:
                    async for item in items:
                        yield (
                            Delta(item)
                            if isinstance(item, str)
                            else _completion(prepared, item, "")
                        )

    def statistics(self) -> dict[str, int]:
        """Counters since the start; ``most_running`` is the largest number of requests answered at
        one time."""
        return {
            "requests": self._requests,
            "running": self._running,
            "most_running": self._most_running,
            "models_loaded": self._shelf.loaded,
        }

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._running += 1
        self._most_running = max(self._most_running, self._running)
        try:
            yield
        finally:
            self._running -= 1

    def _prepare(self, job: ChatJob) -> _Prepared | Refusal:
        """Check a job against its model; tokenise it."""
        self._requests += 1
        if job.model not in self._shelf:
            known = ", ".join(self._shelf.names)
            return Refusal(
                404,
                "model_not_found",
                f"no model {job.model!r} is served; there are {known}",
                "model",
            )
        if job.max_tokens is not None and job.max_tokens > self._max_tokens:
            return Refusal(
                422,
                "max_tokens_too_large",
                f"at most {self._max_tokens} tokens a request",
                "max_tokens",
            )
        prompter = self._shelf.prompter(job.model)
        try:
            prompt = prompter.encode(job.messages)
        except Exception as error:  # templates raise jinja2 errors of their own making
            return Refusal(
                400,
                "invalid_messages",
                f"the model's chat template refuses these messages: {error}",
                "messages",
            )
        room = prompter.context - len(prompt)
        if room < (job.max_tokens or 1):
            wanted = f"{len(prompt)} tokens of messages and {job.max_tokens or 1} to generate"
            return Refusal(
                400,
                "context_length_exceeded",
                f"the model reads {prompter.context} tokens; this request has {wanted}",
                "messages",
            )
        sampling = Sampling(
            job.max_tokens or min(self._max_tokens, room), job.temperature, job.stop, job.seed
        )
        return _Prepared(self._shelf.directory(job.model), tuple(prompt), sampling)


def _completion(prepared: _Prepared, done: Generation, text: str) -> Completion:
    return Completion(text, len(prepared.prompt), len(done.output_ids), done.finish_reason)


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
        settings = engine.model_copy(update={"max_batch": serving.max_batch})

        def load(directory: Path) -> BatchEngine:
            from medr_ray.engines.transformers import TransformersEngine

            return TransformersEngine(directory, settings, trust_remote_code)

        shelf = ModelShelf(directories, load, serving.loaded_models, trust_remote_code)
        shelf.warm(next(iter(directories)))
        super().__init__(shelf, serving.max_tokens)
