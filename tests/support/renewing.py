"""``python -m tests.support.renewing SECONDS FOLDER…``: a server that shows another certificate again and again.

It prints its port, then how often it took another one of those in the folders.
"""

import asyncio
import itertools
import sys
import time
from contextlib import suppress
from pathlib import Path

import grpc.aio

from consortia_common.errors import ConnectionLostError
from consortia_common.shown import Shown
from consortia_common.tls import SERVER_OPTIONS, Credentials

NETWORK = "lab"
HOLD_SECONDS = 0.02


async def main(seconds: float, folders: list[Path]) -> None:
    """Serve nothing to anybody, for so long."""
    all_, found = [Credentials.load(folder) for folder in folders], [Credentials.load(folders[0])]
    shown = Shown(lambda: found[-1], NETWORK)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    port = server.add_secure_port("127.0.0.1:0", shown.server_credentials())
    await server.start()
    print(port, flush=True)
    exchanged, end = 0, time.monotonic() + seconds
    for credentials in itertools.cycle(all_[1:] + all_[:1]):
        if time.monotonic() > end:
            break
        found[-1] = credentials
        with suppress(ConnectionLostError):  # too many connections now
            exchanged += await asyncio.to_thread(shown.follow, ("127.0.0.1", port), HOLD_SECONDS)
    print(exchanged, flush=True)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]]))
