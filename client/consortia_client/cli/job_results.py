"""How ``consortia job result`` shows a result: who vouches for it, then its tables, or one of them as CSV."""

from typing import Any

from consortia_client.results import Result
from consortia_client.tables import written
from consortia_common import terminal


def show(opened: Any, table: str) -> None:
    """The result for people; only one of its tables if one is named."""
    result = Result(opened, None)
    parties = ", ".join(receipt.institution for receipt in opened.receipts)
    terminal.done(f"the result is the one for which {parties} signed receipts")
    facts = {name: value for name, value in result.facts.items() if name not in {"job", "lawful basis"}}
    terminal.facts(facts | _sums(opened))
    for name in [table] if table else result.tables:
        shown = result.table(name)
        rows = [[written(value) for value in row] for row in shown.cells()]
        terminal.table(shown.columns, rows, title=shown.name)
    if not result.tables:
        terminal.note("The result stays at an institution.")


def show_csv(session: Any, status: Any, table: str) -> None:
    """One table of the result, for programs. Raises JobEndedError, ResultError."""
    from consortia_client.consortium import FAILED, ended

    if status.state in FAILED:
        raise ended(status)
    shown = Result(session.result(status.job_id), None).table(table)
    terminal.as_csv(shown.columns, shown.cells())


def _sums(opened: Any) -> dict[str, str]:
    sums = opened.receipts[0].sums if opened.receipts else None
    if sums is None:
        return {}
    gone = [f"{', '.join(missing.institutions)} of {missing.sum}" for missing in sums.missing]
    return {
        "sums": f"{sums.opened}, sealed with engine {sums.engine} ({sums.parameters})",
        "parties": f"{sums.institutions}; {sums.threshold} needed, {sums.colluding} may collude",
        "dropped out": "; ".join(gone) or "nobody",
    }
