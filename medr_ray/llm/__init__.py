"""Calling language models over any OpenAI-compatible endpoint, within the governor's limits.

Promised: an answered request is not sent again (``cache``); a reply is read for what it says, or
refused with the reason (``replies``); every call passes the governor (``medr_ray.governor``), with
its rates and its budgets; keys come from the environment and appear in no file, log or error.
"""

from medr_ray.governor.budget import BudgetExceeded
from medr_ray.llm.client import ChatClient, ChatResult

__all__ = ["BudgetExceeded", "ChatClient", "ChatResult"]
