"""Token in, token out: training sees the tokens that were sampled, whatever text they decode to."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from support.agent_run import Echo, call, run
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from medr_ray.agent.policies import EnginePolicy
from medr_ray.agent.protocol import render_reply
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Message, Trajectory
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer
from medr_ray.tools.base import ToolResult

END = "<|im_end|>"
_CHARACTERS = [chr(code) for code in range(32, 127)] + ["\n", "…", "‹", "›", "¦"]
_PIECES = [
    "search",
    "Kr",
    "abbe",
    "ab",
    "<think>",
]  # so that a text has several spellings in tokens


class Spelling:
    """A tokenizer whose encoder is never the only way to spell a text; ``spell`` gives another
    one."""

    eos_token = END
    all_special_tokens = ("<|im_start|>", END, "<secret>", "!")

    def __init__(self) -> None:
        names = ["<|im_start|>", END, "<secret>", *_CHARACTERS, *_PIECES]
        self.vocabulary = {name: index for index, name in enumerate(names)}
        raw = Tokenizer(models.WordLevel(self.vocabulary, unk_token="!"))
        special = "|".join(("<\\|im_start\\|>", "<\\|im_end\\|>", "<secret>", *_PIECES))
        raw.pre_tokenizer = pre_tokenizers.Split(Regex(f"{special}|[\\s\\S]"), "isolated")
        raw.decoder = decoders.Fuse()
        self._raw = raw
        self.eos_token_id = self.vocabulary[END]

    def __call__(self, text: str, add_special_tokens: bool = False) -> dict[str, list[int]]:
        return {"input_ids": self._raw.encode(text).ids}

    def spell(self, text: str) -> tuple[int, ...]:
        """One token for each character: not what the encoder makes of it."""
        return tuple(self.vocabulary[character] for character in text)

    def apply_chat_template(
        self,
        messages: Sequence[dict[str, str]],
        tools: None,
        tokenize: bool,
        add_generation_prompt: bool,
    ) -> str:
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}{END}\n" for m in messages)
        return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")

    def decode(self, ids: Sequence[int]) -> str:
        names = list(self.vocabulary)
        return "".join(names[token_id] for token_id in ids)


class Engine:
    """Says its lines in its own spelling, the end of turn included unless it is cut off."""

    def __init__(self, tokenizer: Spelling, *lines: str) -> None:
        self.tokenizer = tokenizer
        self.lines = list(lines)
        self.prompts: list[list[int]] = []

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        self.prompts.append(list(prompt))
        text = self.lines.pop(0)
        ids = (*self.tokenizer.spell(text), self.tokenizer.eos_token_id)
        kept = ids[: sampling.max_tokens]
        finish = "stop" if kept == ids else "length"
        return Generation(kept, tuple(-0.5 for _ in kept), text[: len(kept)], finish, version=3)


def episode(
    *lines: str, tool: Echo | None = None, **agent: int
) -> tuple[Trajectory, Engine, Spelling]:
    tokenizer = Spelling()
    engine = Engine(tokenizer, *lines)
    settings = {"max_tokens": 4000, "max_turn_tokens": 500, **agent}
    policy = EnginePolicy(engine.generate, ChatRenderer(tokenizer), AgentConfig(**settings), 1.0)
    return run(policy=policy, tools=[tool or Echo()], prompt="short", **settings), engine, tokenizer


ANSWER = render_reply("search Krabbe", answer="Krabbe")


def test_every_prompt_extends_what_was_seen_and_sampled_before() -> None:
    trajectory, engine, tokenizer = episode(call("Krabbe"), call("abbe"), ANSWER)
    assert len(trajectory.turns) == 3
    for before, after in zip(trajectory.turns, trajectory.turns[1:], strict=False):
        whole = before.prompt_ids + before.output_ids
        assert after.prompt_ids[: len(whole)] == whole
    assert [list(turn.prompt_ids) for turn in trajectory.turns] == engine.prompts
    assert trajectory.turns[0].output_ids == (
        *tokenizer.spell(call("Krabbe")),
        tokenizer.eos_token_id,
    )


def test_the_sampled_spelling_is_kept_where_encoding_the_text_would_give_another() -> None:
    trajectory, _, tokenizer = episode(call("Krabbe"), ANSWER)
    encoded, _ = ChatRenderer(tokenizer).encode_dialogue(
        [{"role": m.role, "content": m.content} for m in trajectory.messages]
    )
    last = trajectory.turns[-1]
    sampled = [*last.prompt_ids, *last.output_ids]
    assert sampled != encoded
    assert tokenizer.decode(sampled) == tokenizer.decode(encoded)


def test_the_record_has_a_probability_and_a_version_for_every_sampled_token() -> None:
    trajectory, _, _ = episode(call("Krabbe"), ANSWER)
    for turn in trajectory.turns:
        assert len(turn.output_ids) == len(turn.logprobs) > 0
        assert turn.policy_version == 3
    assert trajectory.usage.output_tokens == sum(len(turn.output_ids) for turn in trajectory.turns)


def test_the_dialogue_says_what_the_tokens_say() -> None:
    trajectory, _, tokenizer = episode(call("Krabbe"), ANSWER)
    assert (
        tokenizer.decode(trajectory.turns[0].output_ids).removesuffix(END)
        == trajectory.messages[2].content
    )
    assert trajectory.messages[3].content in tokenizer.decode(trajectory.turns[1].prompt_ids)


def test_a_turn_that_was_cut_off_gets_its_end_before_the_next_message() -> None:
    trajectory, engine, tokenizer = episode(
        "a" * 90, ANSWER, max_turn_tokens=80, ask_after_cut=True
    )
    assert trajectory.asked == "tokens"
    first = trajectory.turns[0]
    assert tokenizer.eos_token_id not in first.output_ids
    assert engine.prompts[1][len(first.prompt_ids) + 80] == tokenizer.eos_token_id


def test_the_control_tokens_of_the_tokenizer_in_use_are_defused_in_tool_responses() -> None:
    trajectory, _, tokenizer = episode(call("<secret> 5!"), ANSWER)
    assert "found ‹secret› 5!" in trajectory.messages[3].content  # a sign alone stays as it is
    new_ids = trajectory.turns[1].prompt_ids[
        len(trajectory.turns[0].prompt_ids) + len(trajectory.turns[0].output_ids) :
    ]
    assert tokenizer.vocabulary["<secret>"] not in new_ids


def test_where_the_context_has_no_room_left_the_same_policy_is_asked_again_with_less() -> None:
    class Long(Echo):
        async def _answer(self, query: str) -> ToolResult:
            return ToolResult("x" * 900)

    trajectory, engine, _ = episode(
        call("Krabbe"), ANSWER, tool=Long(), max_tokens=1200, max_turn_tokens=100
    )
    assert (trajectory.asked, trajectory.answer) == ("tokens", "Krabbe")
    assert len(engine.prompts[1]) < 1200
    assert trajectory.turns[1].prompt_ids[: len(engine.prompts[0])] == tuple(engine.prompts[0])


@given(st.lists(st.text(st.sampled_from(_CHARACTERS[:95]), max_size=30), min_size=1, max_size=3))
def test_the_alignment_holds_for_any_text(queries: list[str]) -> None:
    lines = [call(query) for query in queries]
    trajectory, engine, _ = episode(*lines, ANSWER, max_tool_calls=9)
    ids: tuple[int, ...] = ()
    for turn, prompt in zip(trajectory.turns, engine.prompts, strict=True):
        assert turn.prompt_ids[: len(ids)] == ids
        assert turn.prompt_ids == tuple(prompt)
        ids = turn.prompt_ids + turn.output_ids


def test_a_policy_that_is_out_of_tokens_keeps_nothing_of_what_it_could_not_take() -> None:
    tokenizer = Spelling()
    engine = Engine(tokenizer, call("a"), ANSWER)
    agent = AgentConfig(max_tokens=400, max_turn_tokens=90)
    policy = EnginePolicy(engine.generate, ChatRenderer(tokenizer), agent, 1.0)
    dialogue = [Message("system", "s"), Message("user", "q")]

    async def talk() -> list[bool]:
        first = await policy.respond(dialogue)
        assert first is not None
        dialogue.append(Message("assistant", first.text))
        too_long = await policy.respond([*dialogue, Message("user", "x" * 500)])
        shorter = await policy.respond([*dialogue, Message("user", "x")])
        return [too_long is None, shorter is not None]

    assert asyncio.run(talk()) == [True, True]
    assert "x" * 2 not in tokenizer.decode(engine.prompts[1])
