"""The benchmark of the exchange: its limit is timed, its goals are honest, its light nodes answer like nodes."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.exchange import plain, report
from benchmarks.exchange.costs import Costs, Round
from benchmarks.exchange.crowd import LightNode
from benchmarks.exchange.measure import measure
from benchmarks.exchange.report import Limits
from benchmarks.exchange.streams import Shape
from benchmarks.exchange.waiting import wait_until
from benchmarks.sum import kinds
from consortia_common.content import Bytes, Content
from consortia_common.contents import in_memory
from consortia_node.store.database import open_database
from consortia_node.store.tasks import TaskStore
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.parties import submission
from tests.support.specs import spec

MIB = 1 << 20
SHAPE = Shape(clients=2, size=3_000_000, rounds=2)


def costs(seconds: float, cpu: float, memory: float = MIB / 2) -> Costs:
    """Of a network whose rounds take so much."""
    made = Costs(attach=1, idle_cpu=0.01, memory=memory, statistics=Round(1, 1), sealed=Round(seconds, cpu))
    made.plain = {100: Round(seconds, cpu), 10_000_000: Round(1.0, 1.0)}
    return made


def test_plaintext_streams_are_timed() -> None:
    assert 0 < plain.measure(SHAPE) < 10


@pytest.mark.slow
def test_streams_are_timed_under_tls() -> None:
    assert 0 < plain.measure_tls(SHAPE) < 10


def test_a_goal_is_met_only_by_what_was_measured() -> None:
    told = report.goals({3: costs(0.05, 1), 10: costs(0.2, 1, 2 * MIB)}, Limits(40_000_000, 0.8, 0.9), 4.0)
    assert [line.met for line in told if line.goal] == [True, True, False, False]
    slow = report.goals({3: costs(0.2, 1)}, Limits(40_000_000, 0.1, 0.1), None)
    assert [line.met for line in slow if line.goal] == [False, False, True]


def test_growth_beyond_the_networks_is_shown() -> None:
    lines = report.growth({3: costs(1, 3), 10: costs(1, 10), 50: costs(1, 200)}, {3: 0.1, 10: 0.1, 50: 0.1})
    steeper = {line.what: line.met for line in lines if line.goal}
    assert steeper["round: CPU per node, 10 nodes against 3"]
    assert not steeper["sealed round: CPU per node, 50 nodes against 10"]


def test_a_light_node_answers_every_step(tmp_path: Path) -> None:
    asked = submission(spec("statistics"))
    store = TaskStore(open_database(tmp_path / "node.db"), tmp_path / "exchange", lambda: datetime.now(UTC))
    node = LightNode("bank-a", store)
    offer = Content(config={"submission": asked.canonical()}).to_proto()
    for step, content in (("offer", offer), ("epoch.key", Content().to_proto()), ("close", Content().to_proto())):
        task_id = f"{asked.job_id}/{step}/0/bank-a"
        task = pb.Task(task_id=task_id, job_id=asked.job_id, step=step, content=content)
        store.receive(task, in_memory(task.SerializeToString()))
        node.handle(task)
    assert store.pending() == []
    assert node.answer(task, Bytes()).config["receipt"]
    store.engine.dispose()


def test_waiting_ends() -> None:
    with pytest.raises(RuntimeError, match="not within 0 s: it"):
        wait_until(lambda: False, "it", seconds=0.01, pause=0.001)


@pytest.mark.slow
def test_three_nodes_are_measured() -> None:
    kinds.add()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), 3, (1000,), 4)
    assert found.attach < 60
    assert found.memory > 0
    assert found.plain[1000].seconds > 0
    assert found.sealed.cpu > 0
