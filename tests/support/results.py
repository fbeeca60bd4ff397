"""Results of jobs as clients open them: what statistics and training come to, and the banks' receipts."""

from typing import Any

from consortia_common.documents.jobspec import JobSpec
from consortia_common.documents.receipt import Receipt
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
