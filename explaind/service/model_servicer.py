"""ModelService: what is served."""

from __future__ import annotations

import asyncio

from explaind.service import convert
from explaind.service.convert.requests import model_name
from explaind.service.engine_protocol import ServedEngine
from explaind.service.grpc_types import Context
from explaind.v1 import model_service_pb2 as pb
from explaind.v1 import model_service_pb2_grpc


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """The engine answers from memory but takes its locks, so it is asked in a thread."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: N802
        return convert.list_models_to_proto(await asyncio.to_thread(self._engine.list_models))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:  # noqa: N802
        name = model_name(request.model)
        description = await asyncio.to_thread(self._engine.describe, name, request.model_version)
        return pb.GetModelResponse(model=convert.model_to_proto(description))
