"""A daemon that has no file left for a connection says so now and then, and serves on when there is one again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
CROWD = """
import asyncio, os, resource, socket, sys
from tests.service.http2.peers import assert_serving, connected, message
from tests.service.rpc.plain_server import path, plain_server

async def main():
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
    async with plain_server() as plain:
        host, port = plain.address.split(":")
        waiting = [socket.socket() for _ in range(40)]
        taken = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 5, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        for each in waiting:
            each.connect((host, int(port)))
        await asyncio.sleep(2.5)
        crowded = len(told)
        for each in waiting:
            each.close()
        await asyncio.sleep(2.5)
        async with connected(plain.address) as peer:
            peer.send(peer.call(1, path("Echo"), b"still there"))
            answer = (await peer.answer())[1]
        print(crowded, answer == message(b"still there"), {each[:20] for each in told})

asyncio.run(main())
"""


def test_it_is_said_once_a_second_and_not_a_thousand_times() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CROWD], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    crowded, served, said = ran.stdout.split(maxsplit=2)
    assert 1 <= int(crowded) <= 20
    assert served == "True"
    assert "socket.accept() out " in said
