"""Cluster-wide limits for every call over the network: rates, concurrency, circuit breakers,
budgets.

Promised: a service's limits hold for all processes of a Ray cluster together, in any window; a 429
pauses all of them; a service that only fails is left alone; budgets of tokens and US dollars are
hard stops; a process that dies gives its share back.

The life of one permit, in order:

1. ``gate``: a caller enters ``Gate.permit``; the limits of its service come from the configuration (``limits``).
2. ``client``: this process's client takes a slot that it holds already, or queues the request.
3. ``client_state``: the pure state behind it says what the process holds, needs and has to report.
4. ``protocol``: the client's thread sends that state as one message, in the server's time (``clock_offset``).
5. ``actor``: one named Ray actor in the cluster receives it; a new one takes over when it is lost.
6. ``server``: hands each service's messages to its allocator and its money to the ``budget``.
7. ``allocator``: leases slots and concurrency, within ``rate_limiter``, ``concurrency`` and ``circuit_breaker``.
8. ``client``: the granted slot wakes the request when its time has come; the call is made.
9. ``failures``: what the answer says about limits (429, Retry-After, overload) becomes an outcome.
10. ``client``: reports the outcome, the allocator learns from it; ``metrics`` shows all of it.
"""
