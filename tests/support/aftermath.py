"""What must hold after a bad day: jobs came out as ever, nothing counted twice, the logs agree with each other."""

from collections.abc import Mapping, Sequence
from typing import Any

from consortia_common.audit_reconcile import Lack, Ledger, compare
from consortia_common.audit_verify import verify_folder
from tests.support import evidence
from tests.support.consortium import Consortium
from tests.support.processes import EVERYBODY, Processes
from tests.support.specs import BANKS


def require_trained(processes: Processes, job_id: str, expected: Any, kills: Mapping[str, int]) -> None:
    """It came to ``expected``; everybody did each thing once, or once more where a kill fell in between."""
    consortium = processes.consortium
    status = processes.finish(job_id)
    assert status.state == "finished", status
    assert processes.outcome(job_id) == expected
    for bank in BANKS:
        assert evidence.models(consortium, bank, job_id) == 1
    require_over(processes, job_id, kills)


def require_over(
    processes: Processes, job_id: str, kills: Mapping[str, int], parties: Sequence[str] = BANKS
) -> None:
    """The job has finished at its parties, who keep nothing of it, and nothing was done more often than needed."""
    consortium = processes.consortium
    for bank in parties:
        assert evidence.job_states(consortium, bank, job_id) == ["finished"]
        assert evidence.kept_values(consortium, bank, job_id) == 0
        assert evidence.cohort_files(consortium, bank, job_id) == []
        assert evidence.count(consortium, bank, "job.decided", job_id) <= 1 + kills.get(bank, 0)
    for name in EVERYBODY:
        assert evidence.repetitions(consortium, name, job_id) <= kills.get(name, 0)


def require_honest_logs(consortium: Consortium, *job_ids: str) -> None:
    """Every log verifies, and of these jobs none lacks what another one tells of."""
    assert evidence.verdicts(consortium, EVERYBODY) == dict.fromkeys(EVERYBODY, "verified")
    ledgers = {name: Ledger(name) for name in EVERYBODY}
    for name, ledger in ledgers.items():
        report = verify_folder(consortium.log(name), see=lambda _, entry, ledger=ledger: ledger.see(entry))
        ledger.seen_until = report.signed_time
    found = compare(ledgers.values())
    lacks = [item.sentence for item in found.of(Lack.OMITTED, Lack.DIFFERS) if item.subject[0] in job_ids]
    assert lacks == [], lacks
