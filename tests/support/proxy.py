"""A network between a node and the coordinator that can be cut, go silent, stall or be slow."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

PIECE_BYTES = 65_536
STALL_SECONDS = 0.02
TURNS_OF_AN_OPENING = 3
"""Of the event loop, from accepting a connection to handing it over."""


class Proxy:
    """Passes bytes on to ``target``, a port of this machine. All of it lives in one event loop."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._carried: set[asyncio.Task[None]] = set()
        self.answer = bytearray()
        """What came back from the target first."""
        self.connections = 0
        self.carried = 0
        """Bytes that have come, either way."""
        self.cut_after: int | None = None
        """Cut once this many bytes have gone either way."""
        self.silent = False
        """Swallow everything, until the next connection."""
        self.stalled = False
        """Carry nothing and lose nothing, for as long as it is set: senders find their buffers full."""
        self.bytes_per_second: int | None = None
        """What each direction of a connection carries at most."""
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await self._end()

    async def _end(self) -> None:
        """Close every socket, also of a connection that is only being made: a loop that ends leaves them open."""
        for _ in range(TURNS_OF_AN_OPENING):
            await asyncio.sleep(0)
        while self._carried:
            self.cut()
            await asyncio.wait(self._carried, timeout=STALL_SECONDS)

    def cut(self) -> None:
        """End every connection at once, as a broken line does."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.silent = False
        self._writers.append(writer)
        task = asyncio.create_task(self._carry(reader, writer))
        self._carried.add(task)
        task.add_done_callback(self._carried.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte until both its sockets are closed."""
        async with _closing(writer):
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.append(back)
            async with _closing(back):
                await asyncio.gather(self._relay(reader, back), self._relay(there, writer, self.answer))

    async def _relay(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, keep: bytearray | None = None
    ) -> None:
        with suppress(OSError):
            while data := await source.read(PIECE_BYTES):
                await self._hold_up(len(data))
                self.carried += len(data)
                if keep is not None and len(keep) < PIECE_BYTES:
                    keep += data
                if self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after < 0:
                        self.cut_after = None
                        self.cut()
                if not self.silent:
                    sink.write(data)
                    await sink.drain()
            sink.close()

    async def _hold_up(self, size: int) -> None:
        """Take the time that a slow or stalled line takes for so many bytes."""
        while self.stalled:
            await asyncio.sleep(STALL_SECONDS)
        if self.bytes_per_second:
            await asyncio.sleep(size / self.bytes_per_second)


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    with suppress(OSError):
        try:
            yield
        finally:
            writer.close()
            await writer.wait_closed()


@contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """A proxy in a thread of its own, for tests without an event loop; cut it with ``cut_after = 0``."""
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    proxy = Proxy(target)

    async def serve() -> None:
        async with proxy.open():
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
