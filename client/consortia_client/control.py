"""Commands to an institution's own running node, over the Unix socket in the node's folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consortia_client.errors import ClientError
from consortia_common import local, rpc, settings
from consortia_proto.v1 import control_pb2_grpc

SOCKET = "control.sock"
FOLDER_VARIABLE = "CONSORTIA_NODE__FOLDER"
"""Goes over the file, as it does for the node."""


@contextmanager
def node(config_file: Path) -> Iterator[control_pb2_grpc.ControlStub]:
    """The running node that ``config_file`` (node.toml) is of. Raises ClientError if it does not run."""
    values = settings.read_toml(config_file)
    folder = config_file.absolute().parent / (os.environ.get(FOLDER_VARIABLE) or str(values.get("folder", "")))
    if not (folder / SOCKET).exists():
        raise ClientError(
            f"the node of {config_file} is not running",
            blame="whoever should have started it",
            remedy=f"start it with `consortia node run --config {config_file}`, as the same operating-system user",
        )
    with local.channel(folder / SOCKET) as channel, rpc.calling("the node"):
        yield control_pb2_grpc.ControlStub(channel)
