"""Where a Serve replica listens for other replicas.

Ray Serve 2.60 opens a port for them on every address of the machine, with no setting for it and no
key. Where the whole of Ray is on loopback, so is this port.
"""

import ray
from ray.serve._private import replica

_EVERY_ADDRESS = "[::]:"


def listen_where_ray_does() -> None:
    """Keep this process's replica on loopback where Ray is. To be called while a replica is made,
    before it listens."""
    node_address = ray.util.get_node_ip_address()
    open_port = replica.add_port_to_grpc_server
    if node_address != "127.0.0.1" or getattr(open_port, "is_on_loopback", False):
        return

    def open_port_on_loopback(server: object, address: str) -> int:
        port: int = open_port(server, address.replace(_EVERY_ADDRESS, f"{node_address}:"))
        return port

    open_port_on_loopback.is_on_loopback = True  # type: ignore[attr-defined]
    replica.add_port_to_grpc_server = open_port_on_loopback
