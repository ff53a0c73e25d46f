"""Answers that must have a form: a JSON schema, or a grammar. Needs the package llguidance (the
extra ``structured``), which says for every token what may follow in some microseconds.
"""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

# Compact JSON, as models are taught to write it. With free white space a model that goes astray
# writes nothing else.
_JSON_OPTIONS: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_REASON_CHARACTERS = 300  # of what llguidance says about a grammar
INSTALL_HINT = "pip install 'medr-ray[structured]'"


def can_constrain() -> bool:
    """Whether llguidance is installed."""
    return find_spec("llguidance") is not None


class GrammarConstraint:
    """A TokenConstraint: what the grammar allows behind the tokens so far."""

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def allowed_tokens(self) -> Any:
        """A boolean tensor over the vocabulary. Only the end is allowed behind a whole answer."""
        # Where grammars are compiled, torch need not be loaded.
        import numpy as np
        import torch

        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[: self._vocabulary]
        return torch.from_numpy(allowed.view(np.bool_))

    def accept_token(self, token: int) -> None:
        """Go on behind the token. Raises ValueError when the grammar's limits are reached."""
        if not self._matcher.consume_token(token):
            raise ValueError(self._matcher.get_error()[:_REASON_CHARACTERS])

    def copy(self) -> "GrammarConstraint":
        """The same constraint for another answer, at the same place."""
        return GrammarConstraint(self._matcher.deep_copy(), self._vocabulary)


class ConstraintCompiler:
    """Compiles constraints over a tokenizer of ``vocabulary`` tokens; made once, which takes about
    a second."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        from llguidance.hf import from_tokenizer

        self._tokenizer = from_tokenizer(tokenizer, n_vocab=vocabulary)
        self._vocabulary = vocabulary

    def compile_schema(self, schema: Mapping[str, Any]) -> GrammarConstraint:
        """JSON that the schema allows. Raises ValueError for what llguidance cannot hold to."""
        from llguidance import LLMatcher

        return self._compile(
            LLMatcher.grammar_from_json_schema(dict(schema), overrides=_JSON_OPTIONS)
        )

    def compile_grammar(self, grammar: str) -> GrammarConstraint:
        """Text of a grammar in llguidance's form of Lark."""
        from llguidance import LLMatcher

        return self._compile(LLMatcher.grammar_from_lark(grammar))

    def _compile(self, grammar: str) -> GrammarConstraint:
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise ValueError(matcher.get_error()[:_REASON_CHARACTERS])
        return GrammarConstraint(matcher, self._vocabulary)


def embed_schema(schema: Mapping[str, Any]) -> str:
    """The schema as a rule of a grammar."""
    return "%json " + json.dumps({**schema, "x-guidance": _JSON_OPTIONS})
