"""Serving: answers over Ray Serve, streamed and whole, against the bare engine; searches over HTTP
against the retriever.

The same requests go to the served model and to an ``EngineLoop`` in this process, in turn, with the
same seeds, and their texts are compared. The tiny model (random weights) costs next to nothing and
shows what the way through gateway and replica costs; SmolLM2 (``medr models fetch``) is a model one
would serve. CPU seconds are those of the processes of Serve (/proc), less what the engine alone
takes for the same tokens, and do not depend on who else uses the machine as seconds do.

Searches need the index of a finished run, ``runs/quickstart`` of the checkout or the folder that
MEDR_BENCH_RUN names. ``quick`` leaves SmolLM2 and most repetitions out.
"""

import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from support.process_times import list_descendants, sum_cpu_seconds
from support.streaming_client import Reply, ask_all, build_body
from support.tiny_model import build_tiny_model

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.core.run import Directory, RunDirectory, open_run
from medr_ray.core.session import ray_session
from medr_ray.core.settings import load_config
from medr_ray.engines.base import Progress, Sampling
from medr_ray.engines.batching_loop import EngineLoop
from medr_ray.engines.transformers import TransformersEngine
from medr_ray.engines.weights import model_path
from medr_ray.retrieval.index import open_table
from medr_ray.retrieval.retriever import Retriever
from medr_ray.serving.app import ServedApplication, find_free_port, serve_application
from medr_ray.serving.prompt_encoder import PromptEncoder

_CHECKOUT = Path(__file__).parents[2]
_RUN = _CHECKOUT / "runs" / "quickstart"
_KEY = "a-key-of-the-benchmark"
_PEER = "bare engine"
_CLIENTS = (1, 8, 16)
_QUICK_CLIENTS = (1, 16)
_ROUNDS, _QUICK_ROUNDS = 3, 1
_TINY_TOKENS, _SMALL_TOKENS = 200, 48
_TINY, _SMALL = "base", "sft"  # the names they are served under
_SMALL_MODEL = "embedded:smollm2-135m-instruct"
_CPU_GOAL_MS = 0.5  # a streamed token, through replica, gateway and proxy
_TTFT_GOAL_MS = 20.0  # that the way adds to the first token of a single client
_SEARCH_CLIENTS = 8
_SEARCHES, _QUICK_SEARCHES = 100, 40
_REQUEST_SECONDS = 300


@dataclass(frozen=True)
class _Round:
    """Replies of one round of clients, how long they took, and the CPU seconds of what answered."""

    replies: Sequence[Reply]
    seconds: float
    cpu_seconds: float

    @property
    def tokens(self) -> int:
        return sum(reply.tokens for reply in self.replies)


def measure(quick: bool) -> Iterator[Measurement]:
    with tempfile.TemporaryDirectory() as folder:
        tiny = build_tiny_model(Path(folder) / "tiny")
        models = {_TINY: tiny}
        small = None if quick else _find_small_model()
        if small is not None:
            models[_SMALL] = small
        elif not quick:
            yield skip_measurement("SmolLM2 served", _PEER, "medr models fetch")
        config = _build_config(Path(folder), models)
        with ray_session(config.ray), _serve(config) as served:
            for name, directory in models.items():
                yield from asyncio.run(_measure_model(served, config, name, directory, quick))
            yield from _measure_searches(served, config, _QUICK_SEARCHES if quick else _SEARCHES)


def _find_small_model() -> Path | None:
    try:
        return model_path(_SMALL_MODEL)
    except MedrError:
        return None


def _build_config(folder: Path, models: dict[str, Path]) -> PipelineConfig:
    config = load_config(
        None,
        [
            f"run.root={folder}",
            "run.name=served",
            f"models.policy={models[_TINY]}",
            "serving.weights=base",
            "serving.max_batch=16",
            f"serving.loaded_models={len(models)}",
            f"serving.port={find_free_port()}",
            "engine.dtype=float32",
            "engine.threads=1",
            "retrieval.mode=hybrid",
        ],
    )
    run = folder / "served"
    if _SMALL in models:
        (run / _SMALL).mkdir(parents=True)
        (run / _SMALL / "model").symlink_to(models[_SMALL])
    index = RunDirectory(os.environ.get("MEDR_BENCH_RUN") or str(_RUN)).stage("index")
    if index.manifest() is not None:
        run.mkdir(exist_ok=True)
        (run / "index").symlink_to(index.local)
    return config


@contextlib.contextmanager
def _serve(config: PipelineConfig) -> Iterator[ServedApplication]:
    with serve_application(config, open_run(config), api_key=_KEY) as served:
        yield served


@contextlib.asynccontextmanager
async def _open_client(served: ServedApplication) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {_KEY}"}
    async with httpx.AsyncClient(
        base_url=served.base_url, headers=headers, timeout=_REQUEST_SECONDS
    ) as client:
        yield client


async def _measure_model(
    served: ServedApplication, config: PipelineConfig, name: str, directory: Path, quick: bool
) -> list[Measurement]:
    """The rows of a model, whole and streamed, for each number of clients."""
    engine_config = config.engine.model_copy(update={"max_batch": config.serving.max_batch})
    engine = TransformersEngine(directory, engine_config)
    encoder = PromptEncoder(directory)
    tokens = _TINY_TOKENS if name == _TINY else _SMALL_TOKENS
    rows = []
    async with _open_client(served) as client:
        pids = [pid for pid, command in list_descendants(os.getpid()).items() if "ray::" in command]
        await _ask_served(client, pids, name, 2, tokens, -1, stream=True)  # what is loaded at first
        for clients in _QUICK_CLIENTS if quick else _CLIENTS:
            bare, whole, streamed = [], [], []
            for turn in range(_QUICK_ROUNDS if quick else _ROUNDS):
                seed = 1000 * clients + 100 * turn
                bare.append(await _ask_bare(engine, encoder, clients, tokens, seed))
                whole.append(
                    await _ask_served(client, pids, name, clients, tokens, seed, stream=False)
                )
                streamed.append(
                    await _ask_served(client, pids, name, clients, tokens, seed, stream=True)
                )
            model = "tiny" if name == _TINY else "SmolLM2"
            rows += _build_rows(f"{model}, {clients} clients", clients, bare, whole, streamed)
    return rows


def _build_rows(
    name: str,
    clients: int,
    bare: Sequence[_Round],
    whole: Sequence[_Round],
    streamed: Sequence[_Round],
) -> Iterator[Measurement]:
    equal = _count_equal(bare, streamed)
    total = sum(len(turn.replies) for turn in bare)
    yield build_measurement(
        f"{name}: streams with the texts of the bare engine",
        equal,
        goal=total if _count_equal(bare, whole) == total else None,
        unit=f"of {total}",
        note="" if equal == total else "batches of other sizes round differently",
    )
    rate = statistics.median(turn.tokens / turn.seconds for turn in bare)
    for way, turns in (("whole", whole), ("streamed", streamed)):
        yield build_measurement(
            f"{name}: {way}",
            statistics.median(turn.tokens / turn.seconds for turn in turns),
            rate,
            _PEER,
            unit="tokens/s",
        )
    first = [_compute_first_ms(turns) for turns in (streamed, bare)]
    yield build_measurement(
        f"{name}: first token after",
        first[0],
        first[1],
        _PEER,
        goal=first[1] + _TTFT_GOAL_MS if clients == 1 else None,
        lower_is_better=True,
        unit="ms",
    )
    engine_ms = _compute_cpu_ms(bare)
    events = sum(reply.events for turn in streamed for reply in turn.replies)
    tokens = sum(turn.tokens for turn in streamed)
    yield build_measurement(
        f"{name}: CPU of a streamed token beside the engine's",
        _compute_cpu_ms(streamed) - engine_ms,
        goal=_CPU_GOAL_MS,
        lower_is_better=True,
        unit="ms",
        note=f"{_compute_cpu_ms(streamed):.2f} ms in all, the engine alone {engine_ms:.2f}; "
        f"{tokens / events:.1f} tokens an event; load {os.getloadavg()[0]:.1f}",
    )


def _count_equal(bare: Sequence[_Round], served: Sequence[_Round]) -> int:
    pairs = zip(
        (reply for turn in bare for reply in turn.replies),
        (reply for turn in served for reply in turn.replies),
        strict=True,
    )
    return sum(ours.text == theirs.text for ours, theirs in pairs)


def _compute_first_ms(turns: Sequence[_Round]) -> float:
    seconds = [reply.first_seconds for turn in turns for reply in turn.replies]
    return 1000 * statistics.median(seconds)


def _compute_cpu_ms(turns: Sequence[_Round]) -> float:
    return 1000 * sum(turn.cpu_seconds for turn in turns) / sum(turn.tokens for turn in turns)


def _list_prompts(clients: int, seed: int) -> list[str]:
    return [f"Write a long story about river number {seed + i}." for i in range(clients)]


async def _ask_served(
    client: httpx.AsyncClient,
    pids: Sequence[int],
    model: str,
    clients: int,
    tokens: int,
    seed: int,
    *,
    stream: bool,
) -> _Round:
    bodies = [
        build_body(model, prompt, seed + i, tokens, stream)
        for i, prompt in enumerate(_list_prompts(clients, seed))
    ]
    before = sum_cpu_seconds(pids)
    replies, seconds = await ask_all(client, bodies)
    return _Round(replies, seconds, sum_cpu_seconds(pids) - before)


async def _ask_bare(
    engine: TransformersEngine, encoder: PromptEncoder, clients: int, tokens: int, seed: int
) -> _Round:
    engine.reset()
    loop = EngineLoop(engine)

    async def ask(prompt: str, place: int) -> Reply:
        started = time.perf_counter()
        first_seconds = 0.0
        text = ""
        events = 0
        ids = encoder.encode_messages([{"role": "user", "content": prompt}])
        async for item in loop.stream(ids, Sampling(tokens, 1.0, (), seed + place)):
            if isinstance(item, Progress):
                first_seconds = first_seconds or time.perf_counter() - started
                text += item.text
                events += 1
            else:
                count = len(item.output_ids)
        return Reply(text, count, events, first_seconds or time.perf_counter() - started)

    cpu_before = time.process_time()
    started = time.perf_counter()
    prompts = _list_prompts(clients, seed)
    replies = await asyncio.gather(*(ask(prompt, i) for i, prompt in enumerate(prompts)))
    seconds = time.perf_counter() - started
    cpu_seconds = time.process_time() - cpu_before
    loop.close()
    return _Round(replies, seconds, cpu_seconds)


def _measure_searches(
    served: ServedApplication, config: PipelineConfig, count: int
) -> Iterator[Measurement]:
    index = open_run(config).stage("index")
    if index.manifest() is None:
        yield skip_measurement(
            "searches over HTTP", "the retriever", "make demo, or MEDR_BENCH_RUN"
        )
        return
    retriever = Retriever.open(index, config.retrieval, config.models)
    titles = _list_titles(index, count)
    for mode in ("text", "hybrid"):
        retriever.search("warm-up", mode=mode)
        hits, seconds = asyncio.run(_search_served(served, titles, mode))
        started = time.perf_counter()
        expected = [retriever.search(title, mode=mode) for title in titles]
        bare_seconds = time.perf_counter() - started
        same = sum(
            [hit.document_id for hit in ours] == [hit["document_id"] for hit in theirs]
            for ours, theirs in zip(expected, hits, strict=True)
        )
        yield build_measurement(
            f"/v1/search, {mode}, {_SEARCH_CLIENTS} clients",
            len(titles) / seconds,
            len(titles) / bare_seconds,
            "the retriever, one thread",
            unit="1/s",
            note=f"{same} of {len(titles)} with equal hits; load {os.getloadavg()[0]:.1f}",
        )


def _list_titles(index: Directory, count: int) -> list[str]:
    """Titles of documents over the whole index, as queries."""
    table = open_table(index)
    rows = table.search().select(["title"]).limit(table.count_rows()).to_arrow()
    titles = sorted(set(rows["title"].to_pylist()))
    return titles[:: len(titles) // count][:count]


async def _search_served(
    served: ServedApplication, queries: Sequence[str], mode: str
) -> tuple[list[list[dict[str, object]]], float]:
    """The hits of each query, and the seconds for all of them."""
    places = asyncio.Semaphore(_SEARCH_CLIENTS)
    async with _open_client(served) as client:

        async def search(query: str) -> list[dict[str, object]]:
            async with places:
                response = await client.post("/search", json={"query": query, "mode": mode})
            response.raise_for_status()
            hits: list[dict[str, object]] = json.loads(response.content)["hits"]
            return hits

        await search("warm-up")
        started = time.perf_counter()
        hits = await asyncio.gather(*map(search, queries))
        return list(hits), time.perf_counter() - started
