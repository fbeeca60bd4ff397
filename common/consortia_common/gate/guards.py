"""PURE: what only the jobs before this one make dangerous: budgets, repeated questions, differences.

One answer may be harmless and two of them not. So a job is judged together with every earlier one that asked
anything of the same columns here, under whatever agreement and by whomever; two analysts may work together. What
can be told from the specs alone is refused before any row is read; which customers a cohort holds is known when
it has been formed, and then ``decide_cohort`` says the last word. Earlier jobs count once they have used rows,
whether or not they were finished: what a failed one showed is not known here.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.jobspec import JobSpec
from consortia_common.gate.request import ACCEPT, Decision, EarlierJob, GateRequest, Rule, refusal


def decide_cohort(agreement: Agreement, rows: int, exposed_by: Iterable[str] = ()) -> Decision:
    """The rules that need the cohort formed: enough rows, and not nearly the customers of an earlier job.

    ``exposed_by`` are the earlier jobs whose answers, taken together with this one's, would single out fewer
    customers than the agreement's ``min_cell``.
    """
    if rows < agreement.min_rows:
        return refusal(
            "min_rows",
            f"Fewer rows have consent than the {agreement.min_rows} that the agreement asks of each institution.",
        )
    jobs = list(exposed_by)
    if jobs:
        return refusal(
            "differencing",
            f"With the answer of {' and '.join(jobs)}, this one would show fewer than {agreement.min_cell} "
            "customers by themselves.",
        )
    return ACCEPT


def comparable(spec: JobSpec, earlier: JobSpec, institution: str) -> bool:
    """Whether the answers of both could be subtracted: both add sums over some column that both read here."""
    if not (spec.parameters.sums() and earlier.parameters.sums()):
        return False
    return bool(_columns(spec, institution) & _columns(earlier, institution))


def remembered(request: GateRequest, agreement: Agreement) -> Iterator[EarlierJob]:
    """The earlier jobs that this one is compared with, newest first."""
    since = request.now - timedelta(days=agreement.differencing.memory_days)
    here = request.policy.institution
    for job in reversed(request.budgets.earlier):
        if job.at >= since and comparable(request.spec, job.spec, here):
            yield job


def repeats(request: GateRequest, agreement: Agreement) -> list[EarlierJob]:
    """The earlier jobs that asked the very same of the same parties, newest first."""
    return [job for job in remembered(request, agreement) if _question(job.spec) == _question(request.spec)]


def regrouped(request: GateRequest, agreement: Agreement) -> EarlierJob | None:
    """The newest earlier job that divided the same rows by the same column into other groups."""
    asked = {division.by: division.text for division in request.spec.parameters.divisions()}
    for job in remembered(request, agreement):
        if any(asked.get(other.by, other.text) != other.text for other in job.spec.parameters.divisions()):
            return job
    return None


def without_few(request: GateRequest, agreement: Agreement) -> EarlierJob | None:
    """The newest earlier job over these parties and a few more, or without a few: their part would be left."""
    asked = set(request.spec.parties)
    for job in remembered(request, agreement):
        before = set(job.spec.parties)
        if (asked < before or before < asked) and len(asked ^ before) < agreement.min_parties:
            return job
    return None


def _job_budget(request: GateRequest, agreement: Agreement) -> Decision | None:
    run = request.budgets.jobs_run
    if run < agreement.max_jobs:
        return None
    return refusal("max_jobs", f"{run} jobs have run; the agreement allows {agreement.max_jobs}.")


def _score_budget(request: GateRequest, agreement: Agreement) -> Decision | None:
    asked, scored = request.spec.parameters.scored_rows(), request.budgets.rows_scored
    if not asked or scored + asked <= agreement.max_scored_rows:
        return None
    return refusal(
        "max_scored_rows",
        f"The job's ciphertexts have room for {asked} customers, after {scored} before it; "
        f"the agreement allows {agreement.max_scored_rows} in all.",
    )


def _privacy_budget(request: GateRequest, agreement: Agreement) -> Decision | None:
    cost, spent = request.spec.parameters.epsilon_micro(), request.budgets.epsilon_micro
    if not cost:
        return None
    if agreement.dp is None:
        return refusal("dp", "The job spends differential-privacy budget; the agreement gives none.")
    if spent + cost <= agreement.dp.epsilon_micro:
        return None
    return refusal(
        "dp",
        f"The job would spend {cost} millionths of ε after {spent} in the last {agreement.dp.period_days} days; "
        f"the agreement allows {agreement.dp.epsilon_micro}.",
    )


def _repetition(request: GateRequest, agreement: Agreement) -> Decision | None:
    before = repeats(request, agreement)
    if len(before) < agreement.differencing.max_repeats:
        return None
    return refusal(
        "differencing.max_repeats",
        f"The same was asked {len(before)} times, last by {before[0].job_id}; the agreement allows "
        f"{agreement.differencing.max_repeats} within {agreement.differencing.memory_days} days.",
    )


def _regrouping(request: GateRequest, agreement: Agreement) -> Decision | None:
    job = regrouped(request, agreement)
    if job is None:
        return None
    return refusal(
        "differencing",
        f"{job.job_id} divided the same rows into other groups; both divisions together can show a group that "
        "was merged because it is small.",
    )


def _party_difference(request: GateRequest, agreement: Agreement) -> Decision | None:
    job = without_few(request, agreement)
    if job is None:
        return None
    return refusal(
        "differencing",
        f"{job.job_id} asked it of other parties; the difference would show the part of fewer than "
        f"{agreement.min_parties} of them.",
    )


RULES: tuple[Rule, ...] = (
    _job_budget,
    _score_budget,
    _privacy_budget,
    _repetition,
    _regrouping,
    _party_difference,
)


def _columns(spec: JobSpec, institution: str) -> frozenset[str]:
    return frozenset(column for reads in spec.parameters.reads(institution) for column in reads.columns)


def _question(spec: JobSpec) -> tuple[str, bytes, frozenset[str]]:
    return spec.kind, spec.parameters.canonical(), frozenset(spec.parties)
