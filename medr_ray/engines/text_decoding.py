"""Text from tokens as they come, in time that does not grow with the text before them.

A tokenizer decodes a token by what stands around it (spaces, characters of several tokens), so the
tokens since the last place where the text was whole are decoded again with each new one.
"""

from collections.abc import Callable, Sequence

# What a decoder writes for bytes that are no character, or none yet.
_REPLACEMENT = "\ufffd"


class IncrementalText:
    """The text of a list of tokens that only grows. ``decode`` is the tokenizer's."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._text = ""
        self._unfinished = ""  # behind the text, of tokens that may yet spell something else
        self._length = 0  # tokens that were read
        # Tokens from ``_context`` to ``_decoded`` are decoded again, as the context of new ones.
        self._context = 0
        self._decoded = 0

    def read(self, ids: Sequence[int]) -> str:
        """The text of ``ids``, which begin with those of the last call."""
        if len(ids) > self._length:
            self._length = len(ids)
            context = self._decode(ids[self._context : self._decoded])
            new = self._decode(ids[self._context :])[len(context) :]
            if new and not new.endswith(_REPLACEMENT):
                self._text += new
                self._unfinished = ""
                self._context = self._decoded
                self._decoded = len(ids)
            else:
                # A character whose other tokens are still to come, or tokens without a text.
                self._unfinished = new
        return self._text + self._unfinished

    def read_final(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` that no further token changes."""
        return self.read(ids).rstrip(_REPLACEMENT)
