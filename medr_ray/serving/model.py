"""A replica of the model: checks and tokenises requests, answers them whole or as streams.

The engine runs in its own thread, so the event loop always answers. Requests that arrive together
are generated together, streamed or not, and each leaves when it is finished. A stream that nobody
reads any more stops at the next token. What is asked for and cannot be given is refused by the name
of its parameter before the engine is touched.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medr_ray.core.config import EngineConfig, ServingConfig
from medr_ray.engines.base import (
    ALL_CAPABILITIES,
    BatchEngine,
    Capability,
    Generation,
    Progress,
    SharedEngine,
)
from medr_ray.serving.job_preparation import JobPreparer, PreparedJob, ToolSettings
from medr_ray.serving.messages import (
    CallDelta,
    ChatJob,
    Choice,
    Completion,
    Delta,
    FinishReason,
    Opening,
    Refusal,
    StreamItem,
    TokenLogprob,
)
from medr_ray.serving.model_cache import ModelCache
from medr_ray.serving.prompt_encoder import PromptEncoder
from medr_ray.serving.tool_calls import ReadReply, ReplyReader


class ModelServer:
    """Answers chat jobs with the models of a cache; ``max_tokens`` is the most a job may ask for.

    ``capabilities`` is what the engines of the cache can do beside plain sampling.
    """

    def __init__(
        self,
        models: ModelCache,
        max_tokens: int,
        tools: ToolSettings | None = None,
        capabilities: Collection[str] = ALL_CAPABILITIES,
    ) -> None:
        self._models = models
        self._preparer = JobPreparer(max_tokens, tools or ToolSettings(), capabilities)
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
        refusal = self._check_name(job)
        if refusal is not None:
            return refusal
        with self._models.lease_model(job.model) as model:
            prepared = await self._prepare_in_thread(job, model.encoder)
            if isinstance(prepared, Refusal):
                return prepared
            async with self._models.use_engine(model.directory) as engine:
                with self._count_running():
                    generations = await _generate_all(engine, prepared)
        choices = [
            _build_choice(index, generation, prepared)
            for index, generation in enumerate(generations)
        ]
        return _build_completion(choices, generations, prepared)

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        """A Refusal, or an Opening, Deltas and a Completion without text."""
        refusal = self._check_name(job)
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
                    # aclosing stops the generation at once when the reader leaves; without it the
                    # engine would generate until the garbage collector comes.
                    async with contextlib.aclosing(_stream_choices(engine, prepared)) as items:
                        async for item in items:
                            yield item

    async def statistics(self) -> dict[str, int]:
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

    def _check_name(self, job: ChatJob) -> Refusal | None:
        self._requests += 1
        if job.model in self._models:
            return None
        names = ", ".join(self._models.served_names)
        return Refusal(
            404,
            "model_not_found",
            f"no model {job.model!r} is served; there are {names}",
            "model",
        )

    async def _prepare_in_thread(
        self, job: ChatJob, encoder: PromptEncoder
    ) -> PreparedJob | Refusal:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._tokenizer_thread, self._preparer.prepare, job, encoder
        )


# --- whole answers ---------------------------------------------------------------------


async def _generate_all(engine: SharedEngine, prepared: PreparedJob) -> list[Generation]:
    """A generation for each choice. When one fails, the others end and its error is raised."""
    if len(prepared.samplings) == 1:
        return [await engine.generate(prepared.prompt, prepared.samplings[0])]
    tasks = [
        asyncio.ensure_future(engine.generate(prepared.prompt, sampling))
        for sampling in prepared.samplings
    ]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _build_choice(index: int, generation: Generation, prepared: PreparedJob) -> Choice:
    reader = prepared.build_reader()
    logprobs = None
    if prepared.job.logprobs:
        logprobs = prepared.build_prompt_logprobs(generation.prompt_reports)
        logprobs += _report_tokens(generation, prepared)
    if reader is None:
        text = prepared.echoed_text + (generation.text if prepared.job.max_tokens != 0 else "")
        return Choice(index, text, generation.finish_reason, logprobs=logprobs)
    first = reader.add_text(generation.text)
    rest = reader.finish(generation.finish_reason == "stop")
    return Choice(
        index,
        first.content + rest.content,
        _name_ending(generation, rest),
        first.thought,
        rest.tool_calls,
        logprobs,
    )


def _report_tokens(generation: Generation, prepared: PreparedJob) -> tuple[TokenLogprob, ...]:
    """The reports of a generation's tokens, without the one that ends the turn."""
    if prepared.job.max_tokens == 0:
        return ()
    count = len(generation.output_ids)
    if generation.output_ids and generation.output_ids[-1] in prepared.stop_ids:
        count -= 1
    texts = prepared.encoder.token_texts
    return texts.build_logprobs(generation.output_ids[:count], generation.reports[:count])


def _name_ending(generation: Generation, reply: ReadReply) -> FinishReason:
    return "tool_calls" if reply.tool_calls else generation.finish_reason


def _build_completion(
    choices: Sequence[Choice], generations: Sequence[Generation], prepared: PreparedJob
) -> Completion:
    output_tokens = sum(len(generation.output_ids) for generation in generations)
    if prepared.job.max_tokens == 0:
        output_tokens = 0  # the engine samples one token, which nobody asked for
    return Completion(tuple(choices), len(prepared.prompt), output_tokens)


# --- streams ---------------------------------------------------------------------------


async def _stream_choices(
    engine: SharedEngine, prepared: PreparedJob
) -> AsyncGenerator[Delta | Completion, None]:
    """The deltas of all choices as they come, and their Completion."""
    endings: dict[int, tuple[Choice, Generation]] = {}
    if prepared.echoed_text:
        for index in range(len(prepared.samplings)):
            yield Delta(prepared.echoed_text, index)
    async with contextlib.aclosing(_merge_streams(engine, prepared)) as items:
        async for item in items:
            if isinstance(item, Delta):
                yield item
            else:
                endings[item[0].index] = item
    ordered = [endings[index] for index in sorted(endings)]
    choices = [choice for choice, _ in ordered]
    yield _build_completion(choices, [generation for _, generation in ordered], prepared)


_ChoiceItem = Delta | tuple[Choice, Generation]


async def _merge_streams(
    engine: SharedEngine, prepared: PreparedJob
) -> AsyncGenerator[_ChoiceItem, None]:
    """What comes of all choices. When one fails, the others end and its error is raised."""
    if len(prepared.samplings) == 1:
        async with contextlib.aclosing(_stream_choice(engine, prepared, 0)) as items:
            async for item in items:
                yield item
        return
    arrived: asyncio.Queue[_ChoiceItem | BaseException] = asyncio.Queue()

    async def forward(index: int) -> None:
        try:
            async with contextlib.aclosing(_stream_choice(engine, prepared, index)) as items:
                async for item in items:
                    arrived.put_nowait(item)
        except Exception as error:
            arrived.put_nowait(error)

    tasks = [asyncio.create_task(forward(index)) for index in range(len(prepared.samplings))]
    open_choices = len(tasks)
    try:
        while open_choices:
            arrival = await arrived.get()
            if isinstance(arrival, BaseException):
                raise arrival
            if not isinstance(arrival, Delta):
                open_choices -= 1
            yield arrival
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stream_choice(
    engine: SharedEngine, prepared: PreparedJob, index: int
) -> AsyncGenerator[_ChoiceItem, None]:
    """The deltas of one choice, then its ending and generation."""
    reader = prepared.build_reader()
    # aclosing: see ``ModelServer.stream``.
    async with contextlib.aclosing(
        engine.stream(prepared.prompt, prepared.samplings[index])
    ) as items:
        async for item in items:
            if isinstance(item, Progress):
                delta = _build_delta(item, prepared, index, reader)
                if delta is not None:
                    yield delta
                continue
            rest = ReadReply()
            if reader is not None:
                rest = reader.finish(item.finish_reason == "stop")
                if rest != ReadReply():
                    yield Delta(rest.content, index, tool_calls=_build_call_deltas(rest))
            yield Choice(index, "", _name_ending(item, rest)), item


def _build_delta(
    progress: Progress, prepared: PreparedJob, index: int, reader: ReplyReader | None
) -> Delta | None:
    """The delta of what came; None where nothing of it is passed on yet."""
    ids, reports = progress.output_ids, progress.reports
    if ids and ids[-1] in prepared.stop_ids:
        ids, reports = ids[:-1], reports[:-1]
    logprobs = prepared.encoder.token_texts.build_logprobs(ids, reports) if ids else ()
    reply = ReadReply(progress.text) if reader is None else reader.add_text(progress.text)
    if not (reply.content or reply.thought or logprobs):
        return None
    return Delta(reply.content, index, reply.thought, logprobs=logprobs)


def _build_call_deltas(reply: ReadReply) -> tuple[CallDelta, ...]:
    """The calls as clients put them together: the first piece has id and name."""
    return tuple(
        CallDelta(number, call.arguments, call.id, call.name)
        for number, call in enumerate(reply.tool_calls)
    )


def find_capabilities(engine: EngineConfig) -> frozenset[Capability]:
    """What the configured engine offers beside plain sampling."""
    if engine.backend == "vllm":
        from medr_ray.engines.vllm import VLLM_CAPABILITIES

        return VLLM_CAPABILITIES
    return ALL_CAPABILITIES


class ModelReplica(ModelServer):
    """The Serve deployment. The first of ``directories`` is loaded before the replica counts as
    ready, the others when they are asked for."""

    def __init__(
        self,
        directories: Mapping[str, str],
        engine: EngineConfig,
        serving: ServingConfig,
        trust_remote_code: bool = False,
        tools: ToolSettings | None = None,
    ) -> None:
        from medr_ray.serving.replica_address import listen_where_ray_does

        listen_where_ray_does()
        # Each place of the batch is a row of the key-value cache, so the server has its own number.
        engine_config = engine.model_copy(update={"max_batch": serving.max_batch})

        def load_engine(directory: Path) -> BatchEngine | SharedEngine:
            # Imported in the replica: the driver, which binds the deployment, need not load torch.
            if engine.backend == "vllm":
                from medr_ray.engines.factory import ConfiguredEngineFactory
                from medr_ray.engines.remote_engine import start_remote_engine

                factory = ConfiguredEngineFactory(str(directory), engine_config, trust_remote_code)
                resources = {"CPU": serving.num_cpus, "GPU": serving.num_gpus}
                return start_remote_engine(factory, resources)
            from medr_ray.engines.transformers import TransformersEngine

            return TransformersEngine(directory, engine_config, trust_remote_code)

        models = ModelCache(directories, load_engine, serving.loaded_models, trust_remote_code)
        self._main_name, self._main_directory = next(iter(directories.items()))
        models.preload(self._main_name)
        super().__init__(models, serving.max_tokens, tools, find_capabilities(engine))

    async def reconfigure(self, user_config: Mapping[str, str | None]) -> None:
        """Called by Ray Serve with the deployment's ``user_config``, also when that changes:
        ``weights`` is the model directory to answer with under the first name, null for the one
        that was configured. New requests wait meanwhile."""
        directory = user_config["weights"] or self._main_directory
        await self.load_directory(self._main_name, directory)
