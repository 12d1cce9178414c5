"""The client of explaind: needs grpc, protobuf and NumPy, and none of the frameworks behind the daemon.

>>> from explaind_client import Client
>>> with Client("localhost:50051") as client:
...     answer = client.explain("digit.png", model="mnist", anomaly_score=True)
"""

from explaind.v1.explanation_pb2 import AnomalyScoreParameters, LatentRankingParameters, PathMaskParameters
from explaind_client.aio import AsyncClient
from explaind_client.client import Client
from explaind_client.errors import ExplaindError
from explaind_client.images import ImageLike, to_array, to_tensor
from explaind_client.requests import Ask, StreamItem
from explaind_client.retry import NO_RETRY, RetryPolicy

__all__ = [
    "NO_RETRY",
    "AnomalyScoreParameters",
    "Ask",
    "AsyncClient",
    "Client",
    "ExplaindError",
    "ImageLike",
    "LatentRankingParameters",
    "PathMaskParameters",
    "RetryPolicy",
    "StreamItem",
    "to_array",
    "to_tensor",
]
