"""Calling language models over any OpenAI-compatible endpoint.

Promised: rate limits hold for all callers of a Ray cluster together; a 429 pauses all of them; an answered request is
not sent again; a token budget is a hard stop; keys come from the environment and appear in no file, log or error.
"""

from medr_ray.llm.budget import BudgetExceeded
from medr_ray.llm.client import ChatClient, ChatResult

__all__ = ["BudgetExceeded", "ChatClient", "ChatResult"]
