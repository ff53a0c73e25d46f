"""A replica of the model: checks and tokenises requests, generates them in batches or as streams.

What holds: one engine call at a time, in a thread beside the event loop, so the replica always answers; requests of
a batch that sample alike share an engine call; a stream nobody reads any more stops at the next token.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from ray import serve

from medr_ray.core.config import EngineConfig, ServingConfig
from medr_ray.engines.base import Generation, Sampling
from medr_ray.serving.batching import PreparedJob, sampling_groups, shared_sampling
from medr_ray.serving.jobs import ChatJob, Completion, Delta, Opening, Refusal, StreamItem
from medr_ray.serving.shelf import ModelShelf, ServingEngine
from medr_ray.serving.stopping import StopFilter


class ModelServer:
    """Answers chat jobs with the models of a shelf."""

    def __init__(self, shelf: ModelShelf, max_tokens: int) -> None:
        self._shelf, self._max_tokens = shelf, max_tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._requests = self._engine_calls = 0

    def warm(self, name: str) -> None:
        """Load a model before the first request asks for it; raises what loading raises."""
        self._thread.submit(self._shelf.engine, self._shelf.directory(name)).result()

    def prepare(self, job: ChatJob) -> PreparedJob | Refusal:
        """Check a job against its model; tokenise it."""
        self._requests += 1
        if job.model not in self._shelf:
            known = ", ".join(self._shelf.names)
            return Refusal(404, "model_not_found", f"no model {job.model!r} is served; there are {known}", "model")
        if job.max_tokens is not None and job.max_tokens > self._max_tokens:
            return Refusal(422, "max_tokens_too_large", f"at most {self._max_tokens} tokens a request", "max_tokens")
        prompter = self._shelf.prompter(job.model)
        try:
            prompt = prompter.encode(job.messages)
        except Exception as error:  # templates raise jinja2 errors of their own making
            return Refusal(400, "invalid_messages", f"the model's chat template refuses these messages: {error}",
                           "messages")
        room = prompter.context - len(prompt)
        if room < (job.max_tokens or 1):
            wanted = f"{len(prompt)} tokens of messages and {job.max_tokens or 1} to generate"
            return Refusal(400, "context_length_exceeded",
                           f"the model reads {prompter.context} tokens; this request has {wanted}", "messages")
        sampling = Sampling(job.max_tokens or min(self._max_tokens, room), job.temperature, job.stop, job.seed)
        return PreparedJob(job.model, self._shelf.directory(job.model), tuple(prompt), sampling)

    async def generate(self, jobs: Sequence[PreparedJob]) -> list[Completion]:
        """A completion per job, in order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._generate, list(jobs))

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        """A Refusal, or an Opening, Deltas and a Completion without text."""
        prepared = self.prepare(job)
        if isinstance(prepared, Refusal):
            yield prepared
            return
        yield Opening(len(prepared.prompt))
        loop, cancelled = asyncio.get_running_loop(), Event()
        deltas: asyncio.Queue[str | None] = asyncio.Queue()

        def put(delta: str | None) -> None:
            loop.call_soon_threadsafe(deltas.put_nowait, delta)

        producer = loop.run_in_executor(self._thread, self._produce, prepared, cancelled, put)
        stops, text = StopFilter(prepared.sampling.stop), ""
        try:
            while (delta := await deltas.get()) is not None:
                text += delta
                if shown := stops.feed(delta):
                    yield Delta(shown)
                if stops.stopped:
                    break
            else:
                await producer  # raises what generation raised
            if rest := stops.flush():
                yield Delta(rest)
            yield self._closing(prepared, text, stops.stopped)
        finally:
            cancelled.set()

    def statistics(self) -> dict[str, int]:
        return {"requests": self._requests, "engine_calls": self._engine_calls, "models_loaded": self._shelf.loaded}

    def _generate(self, jobs: list[PreparedJob]) -> list[Completion]:
        done: dict[int, Completion] = {}
        for group in sampling_groups(jobs):
            members = [jobs[index] for index in group]
            self._engine_calls += 1
            engine = self._shelf.engine(members[0].directory)
            generations = engine.generate([job.prompt for job in members], shared_sampling(members))
            for index, job, generation in zip(group, members, generations, strict=True):
                done[index] = self._completion(job, generation)
        return [done[index] for index in range(len(jobs))]

    def _completion(self, job: PreparedJob, generation: Generation) -> Completion:
        """What the engine made, cut to what this job asked for."""
        limit = job.sampling.max_tokens
        if len(generation.output_ids) <= limit:
            return Completion(generation.text, len(job.prompt), len(generation.output_ids), generation.finish_reason)
        stops = StopFilter(job.sampling.stop)
        text = stops.feed(self._shelf.prompter(job.model).decode(generation.output_ids[:limit])) + stops.flush()
        return Completion(text, len(job.prompt), limit, "stop" if stops.stopped else "length")

    def _produce(self, job: PreparedJob, cancelled: Event, put: Callable[[str | None], None]) -> None:
        """Generate in the engine's thread; always ends with None."""
        try:
            if cancelled.is_set():
                return
            self._engine_calls += 1
            for delta in self._shelf.engine(job.directory).stream(job.prompt, job.sampling, cancelled):
                put(delta)
                if cancelled.is_set():
                    return
        finally:
            put(None)

    def _closing(self, job: PreparedJob, text: str, stopped: bool) -> Completion:
        """Token counts of a stream, by encoding its text again (the stream hands out text, not tokens)."""
        count = min(self._shelf.prompter(job.model).count(text), job.sampling.max_tokens)
        finish = "length" if count >= job.sampling.max_tokens and not stopped else "stop"
        return Completion("", len(job.prompt), count, finish)


class ModelReplica:
    """The Serve deployment around a ModelServer: requests that arrive together are generated together.

    The first of ``directories`` is loaded before the replica counts as ready, the others when they are asked for.
    """

    def __init__(
        self, directories: Mapping[str, str], engine: EngineConfig, serving: ServingConfig,
        trust_remote_code: bool = False,
    ) -> None:
        def load(directory: Path) -> ServingEngine:
            from medr_ray.engines.transformers import TransformersEngine

            return TransformersEngine(directory, engine, trust_remote_code)

        shelf = ModelShelf(directories, load, serving.loaded_models, trust_remote_code)
        self._server = ModelServer(shelf, serving.max_tokens)
        self._server.warm(next(iter(directories)))
        self._together.set_max_batch_size(serving.max_batch)  # type: ignore[attr-defined]
        self._together.set_batch_wait_timeout_s(serving.batch_wait_seconds)  # type: ignore[attr-defined]

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        prepared = self._server.prepare(job)
        return prepared if isinstance(prepared, Refusal) else await self._together(prepared)

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        async for item in self._server.stream(job):
            yield item

    async def statistics(self) -> dict[str, int]:
        return self._server.statistics()

    @serve.batch
    async def _together(self, jobs: list[PreparedJob]) -> list[Completion]:
        return await self._server.generate(jobs)
