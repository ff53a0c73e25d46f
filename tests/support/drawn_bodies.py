"""Requests drawn by chance, most of them wrong in one field or several, some not even JSON."""

import json
import random
from dataclasses import dataclass
from typing import Any

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
_PATHS = (CHAT, CHAT, COMPLETIONS, "/v1/embeddings", "/v1/search")

_TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
_CALL = {"id": "a", "type": "function", "function": {"name": "search", "arguments": "{"}}
# Of every type, at and beyond the limits of numbers, with characters that break what is careless.
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 16, 17, 0.5, 1e-300, 1e308, -1e308, 2**31, 2**63, 2**64),
    *(-(2**63), -(2**63) - 1, 10**40, float("nan"), float("inf"), "", "a", "null", "\x00", "é"),
    *("\ud800", "‮", "<|im_end|>", "x" * 10_000, [], [[]], [None], [1, 2], ["a", 1], {}),
    *({"a": 1}, {"type": "function"}, {"type": "json_object"}, [_TOOL], [_CALL], [{}] * 200),
    *(["a"] * 3, [[5, 6]], {"0": 100}, {"99999999": -100}, {"type": "json_schema"}),
)
_MESSAGES: tuple[Any, ...] = (
    {"role": "user", "content": "what is Marfan syndrome"},
    {"role": "user", "content": "word " * 2_000},
    {"role": "user", "content": [{"type": "text", "text": "a"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc"}}]},
    {"role": "system", "content": "{{ 7 * 7 }} {% raw %}"},
    {"role": "assistant", "content": None, "tool_calls": [_CALL]},
    {"role": "assistant", "content": ""},
    {"role": "tool", "tool_call_id": "a", "content": "result"},
    {"role": "tool", "content": "result"},
    {"role": "robot", "content": "\u0000"},
    {"role": ["user"], "content": {"text": "a"}},
    "not a message",
    None,
)
_FIELDS = (
    *("model", "messages", "prompt", "input", "query", "max_tokens", "max_completion_tokens"),
    *("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "n", "stop"),
    *("repetition_penalty", "logit_bias", "seed", "stream", "stream_options", "logprobs"),
    *("top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
    *("modalities", "echo", "best_of", "suffix", "metadata", "functions", "mode", "results"),
    *("sources", "types", "dimensions", "encoding_format", "frobnicate", "\ud800"),
)
# Of some fields: values that they may have, so that not every request is refused.
_FITTING: dict[str, tuple[Any, ...]] = {
    "temperature": (0, 0.3, 1e-40, 2),
    "top_p": (0, 1e-30, 0.5, 1),
    "top_k": (-1, 1, 2**31 - 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "repetition_penalty": (0.1, 10),
    "logit_bias": ({"0": 100}, {"99999999": -100}, {str(i): -100 for i in range(400)}),
    "n": (1, 2, 16),
    "stop": ("a", ["a", " ", "\n"]),
    "seed": (2**63 - 1, -(2**63)),
    "stream": (True,),
    "logprobs": (True, 0, 5),
    "max_tokens": (1, 48, 2**62),
    "tools": ([_TOOL], [_TOOL] * 2),
    "tool_choice": ("auto", "none", "required"),
    "response_format": ({"type": "json_object"}, {"type": "text"}),
    "echo": (True,),
    "messages": ([{"role": "user", "content": "a" * 100_000}],),
    "prompt": (["a"] * 64, [0] * 500, [2**31 - 1], "\x00"),
    "input": (["a"] * 256, "a" * 32_768),
}
_BROKEN: tuple[bytes, ...] = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe\x00",
    b"[" * 50_000,
    b'{"model": ' + b"[" * 150 + b"]" * 150 + b"}",
    b'{"model": "base", "model": "base"}',
    b'{"model": "base", "messages": 1e999}',
    b"model=base&messages=a",
)


@dataclass(frozen=True)
class DrawnRequest:
    """A request: where to, with which body."""

    path: str
    content: bytes


def draw_request(chance: random.Random, model: str) -> DrawnRequest:
    """A request whose body may be anything from right to broken."""
    path = chance.choice(_PATHS)
    if chance.random() < 0.1:
        return DrawnRequest(path, chance.choice(_BROKEN))
    body: dict[str, Any] = {"model": model, "max_tokens": 2}
    if path == CHAT:
        messages = _MESSAGES if chance.random() < 0.3 else _MESSAGES[:1]
        body["messages"] = [chance.choice(messages) for _ in range(chance.randint(1, 3))]
    elif path == COMPLETIONS:
        body["prompt"] = chance.choice(["a", ["a", "b"], [5, 6], [[5], [6, 7]]])
    elif path == "/v1/search":
        body = {"query": "Marfan"}
    elif path == "/v1/embeddings":
        body = {"model": "medr-encoder", "input": "Marfan"}
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        field = chance.choice(_FIELDS)
        body[field] = chance.choice(_FITTING.get(field, _VALUES) + _VALUES[:10])
    for name in chance.sample(list(body), chance.choice([0, 0, 0, 1])):
        del body[name]
    # Lone surrogates and numbers that are not finite are spelt as Python does, which clients can.
    return DrawnRequest(path, json.dumps(body).encode())
