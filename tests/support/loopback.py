"""One loopback server for all tests of the process: stopping one takes half a second."""

import atexit
import functools

from pytest_httpserver import HTTPServer


@functools.cache
def server() -> HTTPServer:
    """The server, many requests at once. Whoever uses it clears it."""
    one = HTTPServer(threaded=True)
    one.start()
    atexit.register(one.stop)
    return one
