"""Other weights under load: no request fails, none waits for the new ones to be read, and no answer
is of two models."""

import asyncio
import shutil
import threading
from pathlib import Path

import pytest
from support.scripted_engine import ScriptedEngine

from medr_ray.core.errors import MedrError
from medr_ray.serving.messages import ChatJob, ChatTurn, Completion, Delta, Opening
from medr_ray.serving.model import ModelServer
from medr_ray.serving.model_cache import ModelCache

ASK = (ChatTurn("user", "what is it"),)


class Checkpoints:
    """Copies of a model whose answers repeat the name of their directory; "slow" is read when it is
    let, "broken" cannot be."""

    def __init__(self, model: Path, folder: Path, capacity: int = 1) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(model)
        self.loaded: list[str] = []
        self.may_finish = threading.Event()
        self.places = {}
        for name in ("old", "new", "slow", "broken"):
            place = folder / name
            shutil.copytree(model, place)
            self.places[name] = str(place)
        old = self.places["old"]
        self.cache = ModelCache({"agent": old, "other": old}, self._load, capacity)
        self.server = ModelServer(self.cache, max_tokens=64)

    def _load(self, directory: Path) -> ScriptedEngine:
        if directory.name == "broken":
            raise MedrError("no weights there")
        if directory.name == "slow":
            assert self.may_finish.wait(60)
        self.loaded.append(directory.name)
        return ScriptedEngine(self._tokenizer, lambda _: f"{directory.name} " * 12)

    async def ask(self, name: str = "agent") -> set[str]:
        """The words of an answer."""
        completion = await self.server.complete(ChatJob(name, ASK))
        assert isinstance(completion, Completion)
        assert completion.choices[0].finish_reason == "stop"
        return set(completion.choices[0].text.split())


@pytest.mark.parametrize("target", ["new", "slow"])
def test_no_request_fails_waits_or_mixes_two_models(
    tiny_model: Path, tmp_path: Path, target: str
) -> None:
    models = Checkpoints(tiny_model, tmp_path)

    async def scenario() -> list[set[str]]:
        answers = [await models.ask()]
        swap = asyncio.create_task(models.server.load_directory("agent", models.places[target]))
        if target == "slow":
            # The old ones answer for as long as the new ones are read.
            answers += [await asyncio.wait_for(models.ask(), 30) for _ in range(3)]
            assert answers == [{"old"}] * 4
            models.may_finish.set()
        running = [asyncio.create_task(models.ask()) for _ in range(6)]
        for _ in range(40):
            running.append(asyncio.create_task(models.ask()))
            await asyncio.sleep(0.001)
        await swap
        answers += await asyncio.gather(*running)
        answers.append(await models.ask())
        return answers

    answers = asyncio.run(scenario())
    assert {len(words) for words in answers} == {1}
    assert answers[0] == {"old"}
    assert answers[-1] == {target}


def test_a_stream_ends_with_the_model_that_it_began_with(tiny_model: Path, tmp_path: Path) -> None:
    models = Checkpoints(tiny_model, tmp_path)

    async def scenario() -> tuple[str, int]:
        items = models.server.stream(ChatJob("agent", ASK))
        assert isinstance(await anext(items), Opening)
        first = await anext(items)
        assert isinstance(first, Delta)
        await models.server.load_directory("agent", models.places["new"])
        assert await models.ask() == {"new"}
        text = first.text + "".join([item.text async for item in items if isinstance(item, Delta)])
        return text, models.cache.loaded_count

    text, loaded = asyncio.run(scenario())
    assert text.split() == ["old"] * 12
    assert loaded == 1  # the old weights are gone with their last request


def test_a_request_that_was_accepted_before_is_answered_by_the_old_model(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Also where its directory is served under no name any more when it gets to the engine."""
    models = Checkpoints(tiny_model, tmp_path)

    async def scenario() -> None:
        await models.ask()
        with models.cache.lease_model("agent") as before:
            for name in ("agent", "other"):
                await models.server.load_directory(name, models.places["new"])
            assert await models.ask() == {"new"}
            async with models.cache.use_engine(before.directory):
                pass
        assert models.loaded == ["old", "new"]
        assert models.cache.loaded_count == 1

    asyncio.run(scenario())


def test_other_names_of_the_directory_keep_their_model(tiny_model: Path, tmp_path: Path) -> None:
    models = Checkpoints(tiny_model, tmp_path, capacity=2)

    async def scenario() -> None:
        await models.server.load_directory("agent", models.places["new"])
        assert await models.ask("other") == {"old"}
        assert await models.ask("agent") == {"new"}
        assert models.cache.loaded_count == 2

    asyncio.run(scenario())


def test_weights_that_cannot_be_read_change_nothing(tiny_model: Path, tmp_path: Path) -> None:
    models = Checkpoints(tiny_model, tmp_path)

    async def scenario() -> None:
        assert await models.ask() == {"old"}
        for place in (models.places["broken"], str(tmp_path / "nothing")):
            with pytest.raises((MedrError, OSError)):
                await models.server.load_directory("agent", place)
        with pytest.raises(MedrError, match="no model 'nobody' is served; there are agent, other"):
            await models.server.load_directory("nobody", models.places["new"])
        await models.server.load_directory("agent", models.places["old"])
        assert await models.ask() == {"old"}
        assert models.loaded == ["old"]

    asyncio.run(scenario())
