"""From logits to tokens: drawing, the shaping that serving offers, and reported log-probabilities.

Guaranteed: a request without ``Shaping`` and reports costs what plain sampling costs, and its draws
do not depend on the requests beside it. Training's log-probabilities come from the same code.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from medr_ray.engines.base import Sampling, Shaping, TokenReport

# Below it sampling is greedy: logits divided by less overflow, and the most likely token has all of
# the probability long before.
_LEAST_TEMPERATURE = 1e-5
# Positions of a prompt whose logits are held at a time: 256 rows of 150,000 words are 150 MB.
_REPORTED_POSITIONS = 256


class DrawnRequest(Protocol):
    """What drawing needs of a request. ``failure`` is set when its token cannot be drawn."""

    prompt: tuple[int, ...]
    sampling: Sampling
    rng: torch.Generator
    penalised: "PenalisedTokens | None"
    failure: Exception | None


@dataclass
class PenalisedTokens:
    """The tokens that penalties look at: those of the prompt, and how often each stands in the
    answer."""

    prompt_ids: frozenset[int]
    output_counts: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class DrawnToken:
    """A token, its log-probability under the distribution it was drawn from, and its report."""

    token: int
    logprob: float
    report: TokenReport | None


def draw_tokens(logits: torch.Tensor, requests: Sequence[DrawnRequest]) -> list[DrawnToken]:
    """Draw a token for each row of ``logits``, of shape (rows, vocabulary).

    A token is drawn by inversion of the row's cumulative distribution with one number of the
    request's own generator, so the other rows do not affect it. At temperature 0, or as good as 0,
    it is the most likely token. A row that is not finite gives a log-probability that is none.
    """
    device = logits.device
    reports = _report_logits(logits, requests)
    shaped_rows = [row for row, request in enumerate(requests) if request.sampling.shaping]
    if shaped_rows:
        logits = _shape_logits(logits, requests, shaped_rows)
    temperature = torch.tensor(
        [request.sampling.temperature for request in requests], device=device
    )
    is_sampled = temperature >= _LEAST_TEMPERATURE
    # In float32 whatever the weights are in, because training forms ratios of these probabilities.
    # Where sampling is greedy the divisor is 1: log-probabilities are then those at temperature 1.
    scaled = logits.float() / torch.where(is_sampled, temperature, 1.0)[:, None]
    if shaped_rows:
        _truncate_rows(scaled, requests, shaped_rows)
    logprobs = scaled.log_softmax(-1)
    tokens = logprobs.argmax(-1)
    if bool(is_sampled.any()):
        numbers = [torch.rand(1, generator=request.rng) for request in requests]
        uniform = torch.cat(numbers).to(device)
        cumulative = logprobs.exp().cumsum(-1)
        # Rounding lets the sum end a little off 1: scale by it, so that a draw never falls outside.
        target = uniform[:, None] * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, target, right=True)[:, 0]
        drawn = drawn.clamp(max=logits.shape[1] - 1)
        if shaped_rows:
            # The product above may be rounded up to the whole sum, and the draw then falls on the
            # last word, which shaping may have left out.
            is_left_out = logprobs.gather(1, drawn[:, None])[:, 0].isneginf()
            drawn = torch.where(is_left_out, tokens, drawn)
        tokens = torch.where(is_sampled, drawn, tokens)
    token_logprobs = logprobs.gather(1, tokens[:, None])[:, 0].tolist()
    token_ids = tokens.tolist()
    if not reports:
        return [
            DrawnToken(token, logprob, None)
            for token, logprob in zip(token_ids, token_logprobs, strict=True)
        ]
    return [
        DrawnToken(token, logprob, reports[row].of_token(token) if row in reports else None)
        for row, (token, logprob) in enumerate(zip(token_ids, token_logprobs, strict=True))
    ]


# --- reports ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _RowReport:
    """The log-probabilities of one row before any shaping, and the ids of the likeliest tokens."""

    logprobs: torch.Tensor
    likeliest: tuple[tuple[int, float], ...]

    def of_token(self, token: int) -> TokenReport:
        return TokenReport(float(self.logprobs[token]), self.likeliest)


def _report_logits(logits: torch.Tensor, requests: Sequence[DrawnRequest]) -> dict[int, _RowReport]:
    """The reports of the rows whose requests ask for them, by row."""
    reports = {}
    for row, request in enumerate(requests):
        count = request.sampling.top_logprobs
        if count is not None:
            logprobs = logits[row].float().log_softmax(-1)
            reports[row] = _RowReport(logprobs, *_find_likeliest(logprobs[None], count))
    return reports


def report_prompt(
    hidden: torch.Tensor, output_layer: torch.nn.Module, prompt: Sequence[int], alternatives: int
) -> tuple[TokenReport, ...]:
    """The reports of a prompt's tokens but the first; ``hidden`` has the last states of all of its
    tokens, of shape (tokens, size)."""
    reports: list[TokenReport] = []
    following = torch.tensor(prompt[1:], device=hidden.device)
    for start in range(0, len(following), _REPORTED_POSITIONS):
        ids = following[start : start + _REPORTED_POSITIONS]
        logprobs = output_layer(hidden[start : start + len(ids)]).float().log_softmax(-1)
        chosen = logprobs.gather(1, ids[:, None])[:, 0].tolist()
        likeliest = _find_likeliest(logprobs, alternatives)
        reports += map(TokenReport, chosen, likeliest)
    return tuple(reports)


def _find_likeliest(logprobs: torch.Tensor, count: int) -> list[tuple[tuple[int, float], ...]]:
    """(id, log-probability) of the likeliest tokens of each row."""
    if not count:
        return [()] * len(logprobs)
    values, ids = logprobs.topk(min(count, logprobs.shape[1]), dim=-1)
    rows = zip(ids.tolist(), values.tolist(), strict=True)
    return [tuple(zip(row_ids, row_values, strict=True)) for row_ids, row_values in rows]


# --- shaping ---------------------------------------------------------------------------


def _shape_logits(
    logits: torch.Tensor, requests: Sequence[DrawnRequest], rows: Sequence[int]
) -> torch.Tensor:
    """A copy of the logits with the constraints, penalties and biases of ``rows``. A request whose
    constraint fails fails alone."""
    shaped = logits.float().clone()
    for row in rows:
        request = requests[row]
        try:
            _shape_row(shaped[row], request)
        except Exception as error:
            request.failure = error
    return shaped


def _shape_row(logits: torch.Tensor, request: DrawnRequest) -> None:
    """Change the logits of one row in place, in the order that ``Shaping`` says."""
    shaping = request.sampling.shaping
    if shaping is None:
        return
    if shaping.constraint is not None:
        allowed = shaping.constraint.allowed_tokens().to(logits.device)
        logits[: len(allowed)].masked_fill_(~allowed[: len(logits)], float("-inf"))
        # Words that the tokenizer does not have: the output layer may be wider than it.
        logits[len(allowed) :] = float("-inf")
    _penalise_row(logits, shaping, request)
    for token, bias in shaping.logit_bias.items():
        logits[token] += bias


def _penalise_row(logits: torch.Tensor, shaping: Shaping, request: DrawnRequest) -> None:
    penalised = request.penalised
    if penalised is None:
        return
    counts = penalised.output_counts
    if shaping.repetition_penalty != 1.0:
        ids = torch.tensor([*penalised.prompt_ids.union(counts)], device=logits.device)
        values = logits[ids]
        penalty = shaping.repetition_penalty
        logits[ids] = torch.where(values > 0, values / penalty, values * penalty)
    if counts and (shaping.frequency_penalty or shaping.presence_penalty):
        ids = torch.tensor([*counts], device=logits.device)
        numbers = torch.tensor([*counts.values()], device=logits.device, dtype=logits.dtype)
        logits[ids] -= shaping.frequency_penalty * numbers + shaping.presence_penalty


def needs_token_counts(sampling: Sampling) -> bool:
    """Whether the request's penalties look at the tokens so far."""
    shaping = sampling.shaping
    return shaping is not None and (
        shaping.repetition_penalty != 1.0
        or shaping.frequency_penalty != 0.0
        or shaping.presence_penalty != 0.0
    )


def _truncate_rows(
    scaled: torch.Tensor, requests: Sequence[DrawnRequest], rows: Sequence[int]
) -> None:
    """Leave out, in place, the tokens that ``top_k`` and ``top_p`` leave out of the rows."""
    for row in rows:
        shaping = requests[row].sampling.shaping
        if shaping is None:
            continue
        logits = scaled[row]
        if 0 < shaping.top_k < len(logits):
            least = logits.topk(shaping.top_k).values[-1]
            logits.masked_fill_(logits < least, float("-inf"))
        if shaping.top_p < 1.0:
            ordered, ids = logits.sort(descending=True)
            probabilities = ordered.softmax(-1)
            # What the likelier ones have together: the first token always stays.
            before = probabilities.cumsum(-1) - probabilities
            logits[ids[before >= shaping.top_p]] = float("-inf")
            logits[ids[0]] = ordered[0]
