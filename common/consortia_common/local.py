"""Both ends of the control socket: a node, and its own institution's commands, on one machine.

Whom the socket's folder lets in is trusted with the node: there is no TLS, and messages may be as long as a model.
"""

from pathlib import Path

import grpc
import grpc.aio

MESSAGE_BYTES = 65 << 20
"""The longest model and what is told with it."""
_OPTIONS = [(f"grpc.max_{way}_message_length", MESSAGE_BYTES) for way in ("receive", "send")]


def channel(socket: Path) -> grpc.Channel:
    """For a command."""
    return grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS)


def server(socket: Path) -> grpc.aio.Server:
    """For the node."""
    made = grpc.aio.server(options=_OPTIONS)
    made.add_insecure_port(f"unix:{socket}")
    return made
