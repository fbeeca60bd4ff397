"""The main jobs, from the analyst's submission to the opened result, over a real connection."""

import numpy as np
import pyarrow.parquet as pq

from tests.support.consortium import Consortium
from tests.support.specs import BANKS, PURPOSE, spec


def consented(consortium: Consortium, dataset: str) -> dict[str, np.ndarray]:
    """What the banks hold together, of customers who consented (every tenth refused)."""
    tables = [pq.read_table(consortium.root / bank / "data" / f"{dataset}.parquet").to_pydict() for bank in BANKS]
    everybody = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    kept = np.array([not client.endswith("3") for client in everybody["client"]])
    return {name: values[kept] for name, values in everybody.items()}


def test_statistics_are_exact(consortium: Consortium) -> None:
    status = consortium.run(spec("statistics"))
    assert status.state == "finished", status
    result = consortium.result(status.job_id)
    everyone = consented(consortium, "clients")
    assert result["overall"]["count"] == len(everyone["income"])
    for name in ("income", "age"):
        found = result["overall"]["columns"][name]
        assert abs(found["mean"] - everyone[name].mean()) < 1e-6
        assert abs(found["std"] - everyone[name].std(ddof=1)) < 1e-6
    group = everyone["region"] == 1
    assert result["groups"][0]["count"] == group.sum()
    assert abs(result["groups"][0]["label_rate"] - everyone["default"][group].mean()) < 1e-9
    assert PURPOSE
