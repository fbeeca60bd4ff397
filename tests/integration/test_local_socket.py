"""The control socket carries a model of any length that a model may have."""

import asyncio
from pathlib import Path

from consortia_common import local
from consortia_common.documents.fitted import Model
from consortia_proto.v1 import control_pb2 as pb
from consortia_proto.v1 import control_pb2_grpc


class Models(control_pb2_grpc.ControlServicer):
    """Gives back what it was given."""

    async def AddModel(self, request: pb.AddModelRequest, context: object) -> pb.ModelView:
        return pb.ModelView(name=request.name, digest=str(len(request.document)))

    async def ExportModel(self, request: pb.ExportModelRequest, context: object) -> pb.ModelDocument:
        return pb.ModelDocument(document=bytes(Model.MAX_BYTES))


def _add_and_export(socket: Path) -> tuple[pb.ModelView, pb.ModelDocument]:
    with local.channel(socket) as channel:
        stub = control_pb2_grpc.ControlStub(channel)
        added = stub.AddModel(pb.AddModelRequest(name="large", document=bytes(Model.MAX_BYTES)), timeout=30)
        return added, stub.ExportModel(pb.ExportModelRequest(name="large"), timeout=30)


async def test_a_model_goes_in_and_out_whole(tmp_path: Path) -> None:
    server = local.server(tmp_path / "control.sock")
    control_pb2_grpc.add_ControlServicer_to_server(Models(), server)
    await server.start()
    try:
        added, exported = await asyncio.to_thread(_add_and_export, tmp_path / "control.sock")
    finally:
        await server.stop(0)
    assert added.digest == str(Model.MAX_BYTES)
    assert len(exported.document) == Model.MAX_BYTES
