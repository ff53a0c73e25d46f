"""The tokens of a dialogue under the templates of model families: the whole text and what is learnt
of it, word for word; and what is refused before anything is trained."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.chat_families import (
    CHATML_TOKENS,
    GEMMA2,
    GEMMA3,
    GEMMA_TOKENS,
    GPT_OSS,
    GPT_OSS_TOKENS,
    LLAMA3,
    LLAMA3_TOKENS,
    QWEN3,
    QWEN3_THINKING,
    QWEN25,
    SMOLLM2,
    build_tokenizer,
)

from medr_ray.core.user_cache import cache_directory
from medr_ray.engines.chat import ChatRenderer
from medr_ray.engines.model_template import find_model_template_problems
from medr_ray.engines.turn_format import UnfitTemplate, find_template_problems, read_stop_ids

CALL = '<think>look</think>\n<tool_call>{"name": "search"}</tool_call>'
RESPONSE = "<tool_response>PMID 1</tool_response>"
ANSWER = "<think>found</think>\n<answer>Krabbe disease</answer>"
DIALOGUE = [
    {"role": "system", "content": "Use tools."},
    {"role": "user", "content": "Which disease?"},
    {"role": "assistant", "content": CALL},
    {"role": "user", "content": RESPONSE},
    {"role": "assistant", "content": ANSWER},
]
CHATML_TEXT = (
    "<|im_start|>system\nUse tools.<|im_end|>\n"
    "<|im_start|>user\nWhich disease?<|im_end|>\n"
    '<|im_start|>assistant\n<think>look</think>\n<tool_call>{"name": "search"}</tool_call>'
    "<|im_end|>\n"
    "<|im_start|>user\n<tool_response>PMID 1</tool_response><|im_end|>\n"
    "<|im_start|>assistant\n<think>found</think>\n<answer>Krabbe disease</answer><|im_end|>"
)
THINKING_TEXT = (
    "<|im_start|>system\nUse tools.<|im_end|>\n"
    "<|im_start|>user\nWhich disease?<|im_end|>\n"
    '<|im_start|>assistant\n<think>\nlook</think>\n<tool_call>{"name": "search"}</tool_call>'
    "<|im_end|>\n"
    "<|im_start|>user\n<tool_response>PMID 1</tool_response><|im_end|>\n"
    "<|im_start|>assistant\n<think>\nfound</think>\n<answer>Krabbe disease</answer><|im_end|>"
)
LLAMA3_TEXT = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nUse tools.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWhich disease?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
    '<think>look</think>\n<tool_call>{"name": "search"}</tool_call><|eot_id|>'
    "<|start_header_id|>user<|end_header_id|>\n\n"
    "<tool_response>PMID 1</tool_response><|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
    "<think>found</think>\n<answer>Krabbe disease</answer><|eot_id|>"
)
GEMMA_TEXT = (
    "<bos><start_of_turn>user\nUse tools.\n\nWhich disease?<end_of_turn>\n"
    '<start_of_turn>model\n<think>look</think>\n<tool_call>{"name": "search"}</tool_call>'
    "<end_of_turn>\n"
    "<start_of_turn>user\n<tool_response>PMID 1</tool_response><end_of_turn>\n"
    "<start_of_turn>model\n<think>found</think>\n<answer>Krabbe disease</answer><end_of_turn>"
)
LEARNT = (CALL, ANSWER)
THINKING_LEARNT = (
    'look</think>\n<tool_call>{"name": "search"}</tool_call>',
    "found</think>\n<answer>Krabbe disease</answer>",
)

# Of a short dialogue with the embedded model's own system message, as they were when its first
# checkpoints were trained.
SMOLLM2_IDS = [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018]
SMOLLM2_IDS += [411, 407, 19712, 8182, 2, 198, 1, 4093, 198, 14413, 47, 2, 198, 1, 520, 9531, 198]
SMOLLM2_IDS += [44, 11247, 46, 49, 9617, 11247, 46, 2]

# Name, template, special tokens, end of text, beginning of text; then what is right.
FAMILIES: dict[str, tuple[Any, ...]] = {
    "Qwen2.5 base": (QWEN25, CHATML_TOKENS, "<|endoftext|>", None, CHATML_TEXT, LEARNT),
    "Qwen2.5 instruct": (QWEN25, CHATML_TOKENS, "<|im_end|>", None, CHATML_TEXT, LEARNT),
    "Qwen3": (QWEN3, CHATML_TOKENS, "<|im_end|>", None, CHATML_TEXT, LEARNT),
    "Qwen3 thinking": (
        QWEN3_THINKING,
        CHATML_TOKENS,
        "<|im_end|>",
        None,
        THINKING_TEXT,
        THINKING_LEARNT,
    ),
    "SmolLM2": (SMOLLM2, CHATML_TOKENS, "<|im_end|>", "<|im_start|>", CHATML_TEXT, LEARNT),
    "Llama 3": (
        LLAMA3,
        LLAMA3_TOKENS,
        "<|end_of_text|>",
        "<|begin_of_text|>",
        LLAMA3_TEXT,
        LEARNT,
    ),
    "Gemma 2": (GEMMA2, GEMMA_TOKENS, "<eos>", "<bos>", GEMMA_TEXT, LEARNT),
    "Gemma 3": (GEMMA3, GEMMA_TOKENS, "<eos>", "<bos>", GEMMA_TEXT, LEARNT),
}
ENDS = {"Llama 3": "<|eot_id|>", "Gemma 2": "<end_of_turn>", "Gemma 3": "<end_of_turn>"}
families = pytest.mark.parametrize("family", FAMILIES)


def build(family: str) -> Any:
    return build_tokenizer(*FAMILIES[family][:4])


def read_learnt(tokenizer: Any, ids: list[int], mask: list[bool]) -> list[str]:
    """The texts of the runs of tokens that carry the loss."""
    texts: list[list[int]] = []
    was_on = False
    for token_id, is_on in zip(ids, mask, strict=True):
        if is_on and not was_on:
            texts.append([])
        if is_on:
            texts[-1].append(token_id)
        was_on = is_on
    return [str(tokenizer.decode(text)) for text in texts]


@families
def test_the_text_of_a_dialogue_and_what_is_learnt_of_it(family: str) -> None:
    *_, text, learnt = FAMILIES[family]
    tokenizer = build(family)
    renderer = ChatRenderer(tokenizer)
    ids, mask = renderer.encode_dialogue(DIALOGUE)
    assert tokenizer.decode(ids) == text
    end = ENDS.get(family, "<|im_end|>")
    assert read_learnt(tokenizer, ids, mask) == [f"{reply}{end}" for reply in learnt]
    assert [ids[-1]] == tokenizer.convert_tokens_to_ids([end]) == [renderer.end_id]
    assert find_template_problems(tokenizer) == []


@families
def test_what_is_trained_is_what_a_rollout_sees_turn_by_turn(family: str) -> None:
    tokenizer = build(family)
    renderer = ChatRenderer(tokenizer)
    ids, _ = renderer.encode_dialogue(DIALOGUE)
    turns = [*renderer.encode_prompt(DIALOGUE[:2]), *renderer.encode_reply(CALL)]
    turns += [*renderer.encode_bridge(DIALOGUE[3:4]), *renderer.encode_reply(ANSWER)]
    assert turns == ids


def test_a_thought_of_the_prompt_is_neither_doubled_nor_lost() -> None:
    tokenizer = build("Qwen3 thinking")
    renderer = ChatRenderer(tokenizer)
    for reply, expected in {
        "<think>a</think>\nb": "a</think>\nb<|im_end|>",
        "<think>\na\n</think>\n\nb": "a\n</think>\n\nb<|im_end|>",
        "a\n</think>\n\nb": "a\n</think>\n\nb<|im_end|>",  # as an engine's text begins
        "b": "\n</think>\n\nb<|im_end|>",
    }.items():
        assert tokenizer.decode(renderer.encode_reply(reply)) == expected
    sampled = "a\n</think>\n\nb"
    assert renderer.complete_reply(sampled) == "<think>\na\n</think>\n\nb"
    assert renderer.encode_reply(renderer.complete_reply(sampled)) == renderer.encode_reply(sampled)


def test_every_end_of_the_models_settings_stops_a_reply(tmp_path: Path) -> None:
    tokenizer = build("Llama 3")
    ends = tokenizer.convert_tokens_to_ids(["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"])
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": ends[0]}))
    assert read_stop_ids(tmp_path) == (ends[0],)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": ends[:2]}))
    assert ChatRenderer(tokenizer, read_stop_ids(tmp_path)).stop_ids == set(ends)


def test_a_base_models_end_of_text_stops_but_is_not_learnt() -> None:
    tokenizer = build("Qwen2.5 base")
    renderer = ChatRenderer(tokenizer)
    end_of_text, end_of_turn = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    assert renderer.stop_ids == {end_of_text, end_of_turn}
    assert end_of_text not in renderer.encode_dialogue(DIALOGUE)[0]


def test_other_roles_can_be_learnt_from_without_other_tokens() -> None:
    tokenizer = build("Gemma 3")
    renderer = ChatRenderer(tokenizer)
    ids, mask = renderer.encode_dialogue(DIALOGUE, {2}, ("user", "assistant"))
    assert ids == renderer.encode_dialogue(DIALOGUE)[0]
    assert read_learnt(tokenizer, ids, mask) == [
        "Which disease?",
        RESPONSE,
        f"{ANSWER}<end_of_turn>",
    ]


# --- what is refused -------------------------------------------------------------------


def test_a_template_with_channels_is_refused() -> None:
    tokenizer = build_tokenizer(GPT_OSS, GPT_OSS_TOKENS, "<|return|>")
    (problem,) = find_template_problems(tokenizer)
    assert "writes '<|channel|>final<|message|>' in front of an assistant's text" in problem
    with pytest.raises(UnfitTemplate, match="its generation prompt lacks"):
        ChatRenderer(tokenizer).encode_dialogue(DIALOGUE)


@pytest.mark.parametrize(
    ("template", "tokens", "words"),
    [
        (None, CHATML_TOKENS, "add chat_template.jinja"),
        # A ChatML template on a model that lacks its tokens.
        (QWEN25, ("</s>",), "'<|im_end|>\\n<|im_start|>user"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", ("</s>",), "writes"),
        (
            "{% for m in messages %}{% if loop.last %}{{ m.content }}</s>{% endif %}{% endfor %}",
            ("</s>",),
            "drops or repeats",
        ),
        ("{{ raise_exception('no') }}", ("</s>",), "cannot write a question and a reply (no)"),
    ],
)
def test_what_gives_no_right_tokens_is_refused_by_name(
    template: str | None, tokens: tuple[str, ...], words: str
) -> None:
    (problem,) = find_template_problems(build_tokenizer(template, tokens, tokens[-1]))
    assert words in problem


def test_a_system_message_without_a_place_is_refused_where_there_is_one() -> None:
    # It leaves out what is neither a user's nor an assistant's, without a word.
    template = QWEN25.partition("{% endif %}")[2].replace(
        "{% for message in messages %}",
        "{% for message in messages if message.role != 'system' %}",
    )
    tokenizer = build_tokenizer(template, CHATML_TOKENS, "<|im_end|>")
    (problem,) = find_template_problems(tokenizer)
    assert "has no system message" in problem
    assert find_template_problems(tokenizer, with_system=False) == []
    renderer = ChatRenderer(tokenizer)
    with pytest.raises(UnfitTemplate, match="has no system message"):
        renderer.encode_dialogue(DIALOGUE)
    assert (
        tokenizer.decode(renderer.encode_dialogue(DIALOGUE[1:])[0])
        == CHATML_TEXT.partition("<|im_end|>\n")[2]
    )


def test_tags_that_decoding_drops_are_named() -> None:
    tokenizer = build_tokenizer(QWEN25, (*CHATML_TOKENS, "<think>", "</think>"), "<|im_end|>")
    (problem,) = find_template_problems(tokenizer)
    assert problem.startswith("the tokenizer does not give back the text that it encodes: '<think>")


@pytest.mark.skipif(
    not (cache_directory() / "models/smollm2-135m-instruct").is_dir(),
    reason="needs medr models fetch",
)
def test_the_tokens_of_the_embedded_model_are_those_of_before() -> None:
    from transformers import AutoTokenizer

    folder = cache_directory() / "models/smollm2-135m-instruct"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    renderer = ChatRenderer(tokenizer, read_stop_ids(folder))
    dialogue = [
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "<answer>A</answer>"},
    ]
    ids, mask = renderer.encode_dialogue(dialogue)
    assert (renderer.end_id, renderer.stop_ids) == (2, {2})
    assert ids == SMOLLM2_IDS
    assert mask == [number >= len(SMOLLM2_IDS) - 8 for number in range(len(SMOLLM2_IDS))]


def test_a_models_directory_is_checked_before_training(tmp_path: Path) -> None:
    broken = build_tokenizer(GPT_OSS, GPT_OSS_TOKENS, "<|return|>")
    broken.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (problem,) = find_model_template_problems(str(tmp_path))
    assert problem.startswith(f"models.policy: {tmp_path}: the chat template writes")
    build("Qwen3").save_pretrained(tmp_path)
    assert find_model_template_problems(str(tmp_path)) == []
    (tmp_path / "tokenizer.json").write_text("{}")
    (problem,) = find_model_template_problems(str(tmp_path))
    assert "its tokenizer cannot be loaded" in problem
    # That it is missing is said elsewhere.
    assert find_model_template_problems(str(tmp_path / "missing")) == []
