"""What both ends tell each other at first: limits that do not fit are found then, not in mid-job."""

from dataclasses import replace
from typing import Any

from tests.integration.test_exchange_hostile_peers import HELLO, FalseCoordinator

MIB = 1 << 20


async def test_a_node_that_takes_less_than_it_may_be_sent_is_told_when_it_connects(lab: Any) -> None:
    coordinator = await lab.coordinator()
    coordinator.service._settings = replace(coordinator.service._settings, limit=100 * MIB)
    node = lab.node("bank-a", coordinator.port)
    await lab.until(lambda: any("takes messages of 64 MiB" in reason for _, reason in node.states))
    assert "may be sent 100 MiB" in coordinator.reasons("peer.refused")[0]
    coordinator.service._settings = replace(coordinator.service._settings, limit=64 * MIB)
    await lab.until(lambda: coordinator.service.connected() == {"bank-a"})


async def test_a_node_answers_no_more_than_the_coordinator_takes(lab: Any) -> None:
    hello = type(HELLO)()
    hello.CopyFrom(HELLO)
    hello.hello.max_message = 3 * MIB
    _, port = await lab.serve(FalseCoordinator([hello]))
    node = lab.node("bank-a", port)
    await lab.until(lambda: node.store.limit == 3 * MIB)
    await node.stop()
