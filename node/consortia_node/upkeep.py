"""What a node does unasked: keeps its certificate current, ends what time has ended, finishes begun erasures.

Each runs beside the exchange until it is done or cancelled. What the network, the witnesses or the database hold up
is reported and tried again later; the node goes on meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from consortia_common import logs
from consortia_common.audit_log import AuditLog
from consortia_common.documents.base import utc
from consortia_common.errors import WitnessError
from consortia_common.renewal import Renewal, Renewed
from consortia_crypto.errors import ConsortiaError
from consortia_node.abandoned import end_abandoned
from consortia_node.consent_desk import ConsentDesk
from consortia_node.erasure import Erasures
from consortia_node.errors import StoppingError
from consortia_node.tools import Tools
from consortia_node.witnessing import channel_of

ERASE_AGAIN_SECONDS = 5
"""An erasure that the witnesses did not let pass is tried again so much later."""
SWEEP_SECONDS = 3600
CHECK_SECONDS = 60.0
"""How often the node looks whether its certificate is due, and asks which roots to trust."""


async def finish_erasures(tools: Tools) -> None:
    """Finish what was begun before the last start, as soon as the witnesses let it."""
    while True:
        try:
            await asyncio.to_thread(Erasures(tools).resume)
        except WitnessError as error:
            logs.failure("erasure.postponed", error)
        except StoppingError:
            return
        else:
            return
        await asyncio.sleep(ERASE_AGAIN_SECONDS)


async def sweep(desk: ConsentDesk, tools: Tools) -> None:
    """Let the clock end consents, which reading also sees by itself, and jobs that were abandoned; once an hour."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        for event, end in (("consent.run_out", desk.run_out), ("jobs.abandoned", partial(end_abandoned, tools))):
            try:
                await asyncio.to_thread(end)
            except ConsortiaError as error:
                logs.failure(event, error)


def renewal_of(tools: Tools) -> Renewal:
    """What keeps the node's certificate and roots up to date; a change is on the log before it is stored."""
    settings = tools.settings
    connect = partial(channel_of, settings, tools.clock)
    return Renewal(settings.folder, tools.identity, connect, tools.clock, partial(_announce, tools.log))


async def stay_current(
    renewal: Renewal, redial: Callable[[], None], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Renew in time, and have everything handed over to connections with the new certificate; until cancelled."""
    trouble = ""
    while True:
        try:
            changed = await asyncio.to_thread(renewal.check)
        except ConsortiaError as error:
            if error.what != trouble:
                logs.failure("certificate.unrenewed", error)
            trouble = error.what
        else:
            trouble = ""
            if changed:
                redial()
        await sleep(CHECK_SECONDS)


def _announce(log: AuditLog, changed: Renewed) -> None:
    if changed.roots:
        log.append("roots.changed", sequence=changed.roots.sequence, roots=changed.roots.digests)
    if changed.not_after:
        log.append("certificate.renewed", until=utc(changed.not_after))
