"""Calling language models over any OpenAI-compatible endpoint, within the governor's limits.

Guaranteed: an answered request is not sent again (``cache``); a reply is parsed as it is, or
refused with the reason (``replies``); every call passes the governor (``medr_ray.governor``), with
its rates and its budgets; keys come from the environment and appear in no file, log or error. The
parts of the pipeline that use a model take it through the protocols of ``roles``.
"""
