"""One job's megabytes do not hold up another job's small task to the same node, nor its answer."""

from dataclasses import replace
from typing import Any

import grpc

from consortia_common.link import LANES

MIB = 1 << 20


async def pieces(call: Any, wanted: int) -> list[str]:
    """The message ids of so many pieces as they come; nothing is acknowledged."""
    found: list[str] = []
    while len(found) < wanted:
        frame = await call.read()
        assert frame is not grpc.aio.EOF
        if frame.HasField("chunk"):
            found.append(frame.chunk.message_id)
    return found


async def test_a_small_task_overtakes_the_megabytes_of_another_job(lab: Any) -> None:
    coordinator = await lab.coordinator()
    large, next_, small = (f"{job}/echo/{turn}/bank-a" for job, turn in (("big", 0), ("big", 1), ("small", 0)))
    for task_id, size in ((large, 8 * MIB), (next_, 10), (small, 10)):
        coordinator.mailbox.post([(lab.task(task_id, bytes(size)), "bank-a", None)])
    call = await lab.attach(coordinator.port, "bank-a")
    came = await pieces(call, 11)
    assert came.index(small) <= 1
    assert came.count(large) == 9
    assert came.index(next_) > max(place for place, each in enumerate(came) if each == large)


async def test_jobs_share_the_line_piece_by_piece(lab: Any) -> None:
    """No more of them at a time than the other end takes unfinished messages."""
    coordinator = await lab.coordinator()
    tasks = [f"job-{number}/echo/0/bank-a" for number in range(LANES + 2)]
    for task_id in tasks:
        coordinator.mailbox.post([(lab.task(task_id, bytes(4 * MIB)), "bank-a", None)])
    call = await lab.attach(coordinator.port, "bank-a")
    came = await pieces(call, 5 * LANES)
    assert set(came) == set(tasks[:LANES])
    assert came[:LANES] == tasks[:LANES]
    assert all(came[first : first + LANES] == tasks[:LANES] for first in range(0, 4 * LANES, LANES))


async def test_messages_that_are_too_large_together_follow_each_other(lab: Any) -> None:
    """The limit is for all unfinished messages of a peer; two of these would be above it, and break its rule."""
    coordinator = await lab.coordinator()
    coordinator.service._settings = replace(coordinator.service._settings, limit=5 * MIB)
    tasks = [f"job-{number}/echo/0/bank-a" for number in range(2)]
    for task_id in tasks:
        coordinator.mailbox.post([(lab.task(task_id, bytes(3 * MIB)), "bank-a", None)])
    call = await lab.attach(coordinator.port, "bank-a")
    assert await pieces(call, 8) == [tasks[0]] * 4 + [tasks[1]] * 4
