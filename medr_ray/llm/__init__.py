"""Calling services over the network: language models over any OpenAI-compatible endpoint, and the gate for all.

Promised: rate limits hold for all callers of a Ray cluster together, in any window; a 429 pauses all of them; a service
that only fails is left alone; an answered request is not sent again; budgets of tokens and US dollars are hard stops;
keys come from the environment and appear in no file, log or error. What calls any other service over the network
passes the same gate (``medr_ray.llm.gate``).
"""

from medr_ray.llm.budget import BudgetExceeded
from medr_ray.llm.client import ChatClient, ChatResult

__all__ = ["BudgetExceeded", "ChatClient", "ChatResult"]
