"""One loopback server for all tests of the process: stopping one takes half a second."""

import atexit
import functools

from pytest_httpserver import HTTPServer


@functools.cache
def server() -> HTTPServer:
    """The server, many requests at once. Whoever uses it clears it."""
    server = HTTPServer(threaded=True)
    server.start()
    atexit.register(server.stop)
    return server
