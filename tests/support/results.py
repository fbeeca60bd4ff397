"""Results of jobs as clients open them, the banks' receipts, and a session that answers with them."""

from collections.abc import Iterator
from typing import Any

from consortia_client.believed import JobResult
from consortia_client.curves import Point, points
from consortia_client.offering import Offering
from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.receipt import Receipt
from consortia_proto.v1 import exchange_pb2
from consortia_proto.v1 import network_pb2 as pb
from tests.support.documents import agreement as make_agreement
from tests.support.specs import BANKS, PURPOSE

JOB = "job-0123456789abcdef"
STATISTICS: dict[str, Any] = {
    "kind": "statistics",
    "overall": {"count": 30, "label_rate": 0.5, "columns": {"age": {"count": 29, "missing": 1, "mean": 40.5}}},
    "by": ["region"],
    "groups": [
        {
            "group": {"region": "<b>"},
            "count": 10,
            "label_rate": None,
            "columns": {"age": {"count": 10, "mean": 41}},
        },
        {
            "group": {"region": "=1"},
            "count": 20,
            "label_rate": 0.4,
            "columns": {"age": {"count": 19, "mean": 40.2}},
        },
    ],
    "withheld": [{"region": "small"}],
    "histograms": {
        "age": {
            "bins": [
                {"low": None, "high": 18, "count": 1},
                {"low": 18, "high": 50, "count": 20},
                {"low": 50, "high": 90.5, "count": 9},
            ],
            "resolution": 2,
        }
    },
    "quantiles": {"age": [{"at": 0.5, "value": 39.0, "error": 1.0}]},
    "correlations": {
        "columns": ["age", "income"],
        "count": 29,
        "covariance": [[4.0, 1.0], [1.0, 9.0]],
        "correlation": [[1.0, None], [None, 1.0]],
    },
    "crosstabs": [
        {
            "columns": ["region", "product"],
            "cells": [{"region": 1, "product": "x", "count": 7}],
            "chi2": 1.5,
            "p": 0.2,
        }
    ],
    "information": {
        "age": {"iv": 0.3, "ks": 0.2, "bins": [{"bin": "18 to 50", "zeros": 3, "ones": 4, "woe": 0.1}]}
    },
    "compare": {"age": [{"category": "2026q1", "psi": 0.01, "ks": 0.02}]},
}
TRAIN: dict[str, Any] = {
    "kind": "train",
    "model": {"intercept": -1.5, "features": ["age", "income"]},
    "rounds": [{"round": 1, "loss": 0.5}, {"round": 2, "loss": 0.25}],
}


def question(kind: str = "train", **parameters: Any) -> JobSpec:
    value = {
        "dataset": "clients",
        "features": ["age"],
        "label": "default",
        "model": {"type": "logistic_regression"},
    } | parameters
    return JobSpec.from_value(
        {
            "version": 1,
            "name": "a-job",
            "kind": kind,
            "agreement": "credit-risk@1",
            "purpose": PURPOSE,
            "parties": list(BANKS),
            "parameters": value,
        },
        "the question",
    )


def receipt(bank: str) -> Receipt:
    used = {"dataset": "clients", "rows_used": 1000, "rows_left_out": 5, "consent_root": "c" * 64}
    value = {
        "network": "lab",
        "institution": bank,
        "job": JOB,
        "kind": "train",
        "spec": "a" * 64,
        "agreement": make_agreement().reference,
        "parties": list(BANKS),
        "sums": None,
        "cohorts": [used],
        "result": None,
        "took": {
            "bytes_up": 30_000,
            "bytes_down": 33_000,
            "elapsed_ms": 1500,
            "memory_mib": 180,
            "planned_ms": 1400,
            "planned_mib": 200,
        },
        "closed_ms": 1,
    }
    return Receipt.from_value(value, "the receipt")


class StubSession:
    """Stands for the network: one agreement, and a job that ends in ``state``."""

    def __init__(self, state: str = "finished") -> None:
        failure = exchange_pb2.Failure(
            code="refused", what="not allowed", blame="the job", remedy="ask the parties", clause="purposes"
        )
        refusals = [pb.Refusal(institution="bank-b", failure=failure)] if state == "refused" else []
        self.status = pb.JobStatus(job_id=JOB, name="a-job", kind="train", state=state, refusals=refusals)
        self.asked: list[JobSpec] = []
        self.closed = False

    def agreements(self) -> Any:
        old = make_agreement()
        return [old, make_agreement(version=2, parent=old.hash())]

    def offering(self, agreement: Any, now_ms: int) -> Offering:
        return Offering.of(agreement)

    def submit(self, asked: JobSpec, now_ms: int) -> pb.JobStatus:
        self.asked.append(asked)
        return self.status

    def plan(self, asked: JobSpec, now_ms: int) -> Any:
        return ("planned", asked, now_ms)

    def job(self, job_id: str) -> pb.JobStatus:
        return self.status

    def jobs(self) -> list[pb.JobStatus]:
        return [self.status]

    def watch(self, job_id: str) -> Iterator[pb.JobStatus]:
        yield self.status

    def curve(self, status: pb.JobStatus) -> tuple[Point, ...]:
        return (
            points({"curve": [{"round": 0, "loss": 0.7, "validation_loss": None, "validation_auc": None}]})
            if status
            else ()
        )

    def cancel(self, job_id: str) -> pb.JobStatus:
        return pb.JobStatus(job_id=job_id, state="cancelled")

    def result(self, job_id: str) -> JobResult:
        return JobResult(job_id, self.asked[0], TRAIN, tuple(receipt(bank) for bank in BANKS))

    def close(self) -> None:
        self.closed = True
