from __future__ import annotations

from collections.abc import Iterator

import pytest

from explaind_client import Client
from tests.client.stand_in import StandIn, serve


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def address(stand_in: StandIn) -> Iterator[str]:
    server, port = serve(stand_in)
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client
