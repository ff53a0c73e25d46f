"""A private session with a served application, in a process of its own: prints as JSON where its
processes listen, and the rights of its folders and of its token."""

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

import ray
from ray import serve

from medr_ray.core.config import RayConfig
from medr_ray.core.session import ray_session
from medr_ray.serving.app import find_free_port
from medr_ray.serving.replica_address import listen_where_ray_does


@serve.deployment
class Greeter:
    def __init__(self) -> None:
        listen_where_ray_does()

    async def __call__(self, request: object) -> str:
        return "hello"


def list_listeners() -> list[str]:
    """``process address`` of every listening socket of this process and those below it."""
    import psutil

    own = psutil.Process()
    listeners = []
    for process in [own, *own.children(recursive=True)]:
        # One that has ended since it was listed listens no more.
        with suppress(psutil.NoSuchProcess):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    listeners.append(f"{process.name()} {connection.laddr.ip}")
    return listeners


def read_rights(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def main() -> None:
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    with ray_session(RayConfig(dashboard=True)):
        serve.start(http_options={"host": "127.0.0.1", "port": find_free_port()})
        serve.run(Greeter.bind())
        session = Path(ray.get_runtime_context().get_temp_dir())
        report = {
            "listeners": list_listeners(),
            "folder": str(session.parent),
            "rights": read_rights(session.parent),
            "token": read_rights(token) if token.exists() else None,
            "greeting": serve.get_app_handle("default").remote(None).result(),
        }
        serve.shutdown()
    report["switch_after"] = os.environ.get("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
    print(json.dumps(report))


if __name__ == "__main__":
    socket.setdefaulttimeout(60)
    main()
