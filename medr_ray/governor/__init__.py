"""Cluster-wide limits for every call over the network: rates, concurrency, circuit breakers,
budgets.

Guaranteed: a service's limits hold for all processes of a Ray cluster together, in any window; a
429 pauses all of them; a service that only fails is left alone; budgets of tokens and US dollars
are hard stops; a process that dies gives its share back.

A request needs a lease, one of the service's ``concurrency``, and, where rates are limited, a slot
of time. The life of one permit, in order:

1. ``gate``: a caller enters ``Gate.permit`` with the ``limits`` of its service. A charge is first
   reserved in the ``budget``.
2. ``client``: this process's client takes a slot and a lease that it holds already, or queues the
   request.
3. ``client_state``: the pure state behind it decides what to report: leases, slots, requests.
4. ``protocol``: the client's thread sends the report. All times in it are by the governor's clock,
   as far as ``clock_offset`` knows it.
5. ``actor``: one named Ray actor of the cluster receives it (without Ray, an object of the
   process).
6. ``server``: hands the report to the service's allocator and keeps the answer back until there is
   something to grant.
7. ``allocator``: grants leases and slots, within ``rate_limiter``, ``concurrency`` and
   ``circuit_breaker``.
8. ``client``: wakes the request when the time of its slot has come; the caller sends it.
9. ``gate``: the caller records on its permit what it learnt; ``failures`` reads the pause (429,
   Retry-After) out of an error.
10. ``client``: reports the outcome; the allocator learns from it, and ``metrics`` publishes it.
"""
