"""Says what is written down for other institutions, until the coordinator has it; nothing is lost meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from consortia_common import logs
from consortia_crypto.errors import ConsortiaError
from consortia_node.statements import Statements
from consortia_proto.v1 import network_pb2

RETRY_SECONDS = 5.0


class StatementOutbox:
    """``run`` sends; ``poke`` says that there is something to send, from any thread."""

    def __init__(self, statements: Statements, publish: Callable[[network_pb2.Statement], Awaitable[None]]) -> None:
        self._statements = statements
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """There may be something to send."""
        self._loop.call_soon_threadsafe(self._poked.set)

    async def run(self) -> None:
        """Send what there is, then wait until there is more, or for a while if the coordinator can't be reached."""
        while True:
            self._poked.clear()
            wait = None if await self._send() else RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._poked.wait()

    async def _send(self) -> bool:
        """Whether nothing is left to send."""
        try:
            for own in await asyncio.to_thread(self._statements.unsent):
                await self._publish(self._statements.on_the_wire(own))
                await asyncio.to_thread(self._statements.sent, own)
        except ConsortiaError as error:
            logs.failure("statement.postponed", error)
            return False
        return True
