"""From a chat job to what the engine is asked for: prompt tokens and a sampling for each choice.

Whatever the model, the engine or this server cannot do is refused here, by the name of the
parameter. Lengths are refused by their bytes first, before a long text is tokenised.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from medr_ray.agent.described_tools import read_tools
from medr_ray.agent.instructions import PromptForm
from medr_ray.engines.base import Sampling, Shaping, TokenConstraint, TokenReport
from medr_ray.engines.constraints import INSTALL_HINT, GrammarConstraint, can_constrain
from medr_ray.serving.messages import AUTO, NO_TOOL, ChatJob, Refusal, TokenLogprob
from medr_ray.serving.prompt_encoder import PromptEncoder
from medr_ray.serving.tool_calls import (
    ReplyReader,
    ToolStyle,
    render_template_messages,
    render_text_messages,
    write_call_grammar,
)

# More than any text has on average: words of a language, spaces of code and Chinese alike.
_MAX_BYTES_PER_TOKEN = 32
# Fields of a job that the engine must offer, by the value that asks for nothing.
_SHAPING_DEFAULTS: Mapping[str, object] = {
    "top_p": 1.0,
    "top_k": 0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "logit_bias": {},
}


@dataclass(frozen=True)
class ToolSettings:
    """How models are shown the tools of a request.

    ``style`` text is the agent's protocol with the system prompt ``form``, template the chat
    template's own way. auto is text for the names in ``taught``, whose models were trained on the
    protocol, and for models whose template knows no tools.
    """

    style: Literal["auto", "text", "template"] = "auto"
    form: PromptForm = "full"
    taught: frozenset[str] = frozenset()

    def choose_style(self, name: str, encoder: PromptEncoder) -> ToolStyle:
        """How the model of a served name is shown tools."""
        if self.style != "auto":
            return self.style
        return "template" if encoder.knows_tools and name not in self.taught else "text"


@dataclass(frozen=True)
class PreparedJob:
    """A job that was checked and tokenised. ``samplings`` has one for each choice; ``reads_calls``
    is how its replies are read where it has tools."""

    job: ChatJob
    encoder: PromptEncoder
    prompt: tuple[int, ...]
    samplings: tuple[Sampling, ...]
    echoed_text: str = ""
    reads_calls: ToolStyle | None = None

    @property
    def stop_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return self.encoder.stop_ids

    def build_reader(self) -> ReplyReader | None:
        """A reader of one choice's calls; None where the text is passed on as it is."""
        if self.reads_calls is None:
            return None
        return ReplyReader(self.reads_calls, self.job.parallel_tool_calls)

    def build_prompt_logprobs(self, reports: Sequence[TokenReport]) -> tuple[TokenLogprob, ...]:
        """The echoed prompt's tokens; none where it is not echoed."""
        if not self.job.echo:
            return ()
        texts = self.encoder.token_texts
        first = texts.build_token(self.prompt[0], None)
        return (first, *texts.build_logprobs(self.prompt[1:], reports))


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def _refuse(code: str, message: str, param: str, status: int = 400) -> _Refused:
    return _Refused(Refusal(status, code, message, param))


@dataclass(frozen=True)
class JobPreparer:
    """Prepares jobs for engines that offer ``capabilities``. One thread at a time may use it."""

    max_tokens: int
    tools: ToolSettings
    capabilities: Collection[str] = field(default_factory=frozenset)

    def prepare(self, job: ChatJob, encoder: PromptEncoder) -> PreparedJob | Refusal:
        """The job for the engine, or why it is refused."""
        try:
            return self._prepare(job, encoder)
        except _Refused as refused:
            return refused.refusal

    def _prepare(self, job: ChatJob, encoder: PromptEncoder) -> PreparedJob:
        self._check_limits(job, encoder)
        self._check_capabilities(job)
        has_calls = any(turn.tool_calls or turn.role == "tool" for turn in job.messages)
        style = None
        if job.tools or has_calls:
            style = self.tools.choose_style(job.model, encoder)
        prompt = self._encode_prompt(job, encoder, style)
        max_tokens = self._limit_tokens(job, encoder, len(prompt))
        constraint = self._compile_constraint(job, encoder, style)
        sampling = Sampling(
            max_tokens,
            job.temperature,
            job.stop,
            job.seed,
            top_logprobs=job.top_logprobs if job.logprobs else None,
            prompt_logprobs=job.echo and job.logprobs,
        )
        return PreparedJob(
            job,
            encoder,
            prompt,
            tuple(_build_sampling(sampling, job, number, constraint) for number in range(job.n)),
            _find_echo(job, encoder),
            # A reply that must not be a call is passed on as it is.
            style if job.tools and job.tool_choice != NO_TOOL else None,
        )

    def _check_limits(self, job: ChatJob, encoder: PromptEncoder) -> None:
        if job.max_tokens is not None and job.max_tokens > self.max_tokens:
            raise _refuse(
                "max_tokens_too_large",
                f"at most {self.max_tokens} tokens a request",
                "max_tokens",
                422,
            )
        outside = [token for token in job.logit_bias if not 0 <= token < encoder.vocabulary]
        if outside:
            raise _refuse(
                "invalid_value",
                f"the model has tokens 0 to {encoder.vocabulary - 1}, not {outside[0]}",
                "logit_bias",
            )
        size = _count_bytes(job)
        if size > encoder.context * _MAX_BYTES_PER_TOKEN:
            # Before the text is tokenised, which takes long for such a one.
            raise _refuse(
                "context_length_exceeded",
                f"the model reads {encoder.context} tokens; this request has {size:,} bytes of "
                f"{_name_input(job)}, which are more",
                _name_input(job),
            )

    def _check_capabilities(self, job: ChatJob) -> None:
        needed = [
            (name, name)
            for name, default in _SHAPING_DEFAULTS.items()
            if getattr(job, name) != default
        ]
        if job.logprobs:
            needed.append(("logprobs", "logprobs"))
        if job.echo and job.logprobs:
            needed.append(("echo", "prompt_logprobs"))
        if job.response_format is not None:
            needed.append(("response_format", "constraint"))
        if _must_call(job):
            needed.append(("tool_choice", "constraint"))
        for name, capability in needed:
            if capability not in self.capabilities:
                raise _refuse("unsupported_parameter", f"this engine does not offer {name}", name)
            if capability == "constraint" and not can_constrain():
                raise _refuse(
                    "unsupported_parameter",
                    f"{name} needs the package llguidance on the server: {INSTALL_HINT}",
                    name,
                )

    def _encode_prompt(
        self, job: ChatJob, encoder: PromptEncoder, style: ToolStyle | None
    ) -> tuple[int, ...]:
        if isinstance(job.prompt, str):
            prompt = tuple(encoder.encode_text(job.prompt))
            if not prompt:
                raise _refuse("invalid_value", "the prompt has no token", "prompt")
            return prompt
        if job.prompt is not None:
            if not job.prompt or max(job.prompt) >= encoder.vocabulary or min(job.prompt) < 0:
                raise _refuse(
                    "invalid_value",
                    f"a prompt of tokens has at least one, of 0 to {encoder.vocabulary - 1}",
                    "prompt",
                )
            return job.prompt
        try:
            if style == "text":
                messages = render_text_messages(
                    job.messages, read_tools(job.tools), self.tools.form
                )
                return tuple(encoder.encode_messages(messages))
            if style == "template":
                messages = render_template_messages(job.messages)
                return tuple(encoder.encode_messages(messages, job.tools))
            return tuple(encoder.encode_messages(render_template_messages(job.messages)))
        except Exception as error:  # templates raise jinja2 errors of their own making
            raise _refuse(
                "invalid_messages",
                f"the model's chat template refuses these messages: {error}",
                "messages",
            ) from None

    def _limit_tokens(self, job: ChatJob, encoder: PromptEncoder, prompt_tokens: int) -> int:
        """Tokens that the engine may sample."""
        # The engine samples a token in any case; of a request for none it is dropped.
        needed_tokens = max(job.max_tokens or 1, 1)
        available = encoder.context - prompt_tokens
        if available < needed_tokens:
            raise _refuse(
                "context_length_exceeded",
                f"the model reads {encoder.context} tokens; this request has {prompt_tokens} "
                f"tokens of {_name_input(job)} and {needed_tokens} to generate",
                _name_input(job),
            )
        # Without a limit of its own a request may fill what its prompt leaves of the context.
        if job.max_tokens is None:
            return min(self.max_tokens, available)
        return needed_tokens

    def _compile_constraint(
        self, job: ChatJob, encoder: PromptEncoder, style: ToolStyle | None
    ) -> GrammarConstraint | None:
        if job.response_format is not None:
            if job.tools and job.tool_choice != NO_TOOL:
                raise _refuse(
                    "unsupported_parameter",
                    "response_format is not supported beside tools, only with tool_choice none",
                    "response_format",
                )
            try:
                return encoder.constraints.compile_schema(job.response_format)
            except ValueError as error:
                raise _refuse(
                    "invalid_value", f"no answer can be held to it: {error}", "response_format"
                ) from None
        if not _must_call(job):
            return None
        if style != "text":
            raise _refuse(
                "unsupported_parameter",
                f"tool_choice {job.tool_choice!r} is not supported for this model, only auto and "
                "none",
                "tool_choice",
            )
        grammar = write_call_grammar(
            read_tools(job.tools), job.tool_choice, job.parallel_tool_calls
        )
        try:
            return encoder.constraints.compile_grammar(grammar)
        except ValueError as error:
            raise _refuse(
                "invalid_value", f"no call can be held to the tools: {error}", "tools"
            ) from None


def _must_call(job: ChatJob) -> bool:
    return bool(job.tools) and job.tool_choice not in (AUTO, NO_TOOL)


def _name_input(job: ChatJob) -> str:
    return "messages" if job.prompt is None else "prompt"


def _count_bytes(job: ChatJob) -> int:
    """Bytes of what becomes tokens; of token ids as many as one stands for."""
    if job.prompt is not None:
        if isinstance(job.prompt, str):
            return len(job.prompt.encode("utf-8", "replace"))
        return len(job.prompt) * _MAX_BYTES_PER_TOKEN
    texts = [str(tool) for tool in job.tools]
    for turn in job.messages:
        texts += [turn.content, turn.thought]
        texts += [call.name + call.arguments for call in turn.tool_calls]
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def _find_echo(job: ChatJob, encoder: PromptEncoder) -> str:
    if not job.echo or job.prompt is None:
        return ""
    return job.prompt if isinstance(job.prompt, str) else encoder.decode_ids(job.prompt)


def _build_sampling(
    sampling: Sampling, job: ChatJob, number: int, constraint: GrammarConstraint | None
) -> Sampling:
    """The sampling of choice ``number``: with a seed, each choice has its own."""
    if job.seed is not None:
        sampling = replace(sampling, seed=job.seed + number)
    own: TokenConstraint | None = None
    if constraint is not None:
        own = constraint.copy()
    changes = {
        name: getattr(job, name)
        for name, default in _SHAPING_DEFAULTS.items()
        if getattr(job, name) != default
    }
    if not changes and own is None:
        return sampling
    return replace(sampling, shaping=Shaping(**changes, constraint=own))
