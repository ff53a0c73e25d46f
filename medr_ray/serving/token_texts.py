"""The bytes and the text of single tokens, which log-probabilities are reported with.

A token need not be whole characters: its bytes are exact, and its text has replacement characters
where they spell none.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from medr_ray.core.json_text import parse_json
from medr_ray.engines.base import TokenReport
from medr_ray.serving.messages import TokenLogprob

_BYTE_TOKEN_LENGTH = len("<0x00>")


class TokenTexts:
    """Of a tokenizer of the ``tokenizers`` library."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added = {token_id: text for text, token_id in tokenizer.get_added_vocab().items()}

    def build_logprobs(
        self, ids: Sequence[int], reports: Sequence[TokenReport]
    ) -> tuple[TokenLogprob, ...]:
        """The tokens with their log-probabilities and alternatives."""
        return tuple(
            self.build_token(
                token,
                report.logprob,
                tuple(self.build_token(*alternative) for alternative in report.alternatives),
            )
            for token, report in zip(ids, reports, strict=True)
        )

    def build_token(
        self, token: int, logprob: float | None, alternatives: tuple[TokenLogprob, ...] = ()
    ) -> TokenLogprob:
        """One token. ``logprob`` is None for the first of a prompt."""
        content = self.read_bytes(token)
        return TokenLogprob(
            content.decode("utf-8", "replace"), content, token, logprob, alternatives
        )

    def read_bytes(self, token: int) -> bytes:
        """What the token adds to a text; nothing for one that the tokenizer does not have."""
        if token in self._added:
            return self._added[token].encode("utf-8", "replace")
        written = self._tokenizer.convert_ids_to_tokens(token)
        if not isinstance(written, str):
            return b""
        if self._byte_letters:
            letters = [self._byte_letters.get(letter) for letter in written]
            known_bytes = [byte for byte in letters if byte is not None]
            if len(known_bytes) == len(letters):
                return bytes(known_bytes)
        if len(written) == _BYTE_TOKEN_LENGTH and written.startswith("<0x"):
            return bytes.fromhex(written[3:5])
        # SentencePiece's mark of a space.
        return written.replace("▁", " ").encode("utf-8", "replace")

    @cached_property
    def _byte_letters(self) -> dict[str, int]:
        """Bytes by the letters that stand for them; none for a tokenizer that writes texts."""
        decoder = getattr(self._tokenizer, "backend_tokenizer", None)
        decoder = getattr(decoder, "decoder", None)
        if decoder is None:
            return {}
        description = parse_json(decoder.__getstate__(), "the tokenizer's decoder")
        parts = description.get("decoders", [description])
        if all(part.get("type") != "ByteLevel" for part in parts):
            return {}
        return list_byte_letters()


def list_byte_letters() -> dict[str, int]:
    """Bytes by letter, as byte-level tokenizers write them (GPT-2): printable ones stand for
    themselves, the others for letters from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    printable += range(ord("®"), ord("ÿ") + 1)
    letters = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    letters.update({chr(256 + number): byte for number, byte in enumerate(others)})
    return letters
