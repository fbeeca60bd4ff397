"""``score`` at the two institutions: encrypt features at the one, score them encrypted at the other, decrypt.

The data owner's key never leaves it and the model owner's weights never leave it; what passes between them goes
in sealed envelopes, so the coordinator sees neither features nor scores even as ciphertext. Scores are rounded
before they are written, because the last digits of a decryption tell about the key.
"""

import io
import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from consortia_common.content import Content
from consortia_common.documents.kinds.score import Parameters
from consortia_common.documents.model import Range, to_unit, unit_form
from consortia_common.models.scorecard import scorecard_of
from consortia_crypto.score import data_owner, model_owner
from consortia_node.errors import StepError
from consortia_node.kinds import Event, Floats, Outcome, Step, Work

DECIMALS = 4
"""Scores are probabilities rounded to this many decimals."""
_SECRET, _SUBJECTS = "score.secret", "score.subjects"


def encrypt(work: Work, request: Content) -> Outcome:
    """At the data owner: a fresh key, and every feature of every customer under it, for the model owner."""
    del request
    parameters = _parameters(work)
    rows = work.matrix(parameters.dataset, parameters.features)[: parameters.max_rows]
    ranges = work.ranges(parameters.dataset, parameters.features)
    features = _scaled(rows, ranges)
    secret = data_owner.new_secret()
    work.values[_SECRET] = secret
    subjects = work.subjects(parameters.dataset)[: len(features)]
    work.values[_SUBJECTS] = json.dumps(subjects).encode()
    letter = Content(
        config={
            "public": data_owner.public_part(secret),
            "features": data_owner.encrypt(secret, features),
            "rows": len(features),
            "lows": [float(low) for low, _ in ranges],
            "highs": [float(high) for _, high in ranges],
        }
    )
    return Outcome(letters={parameters.model_owner: letter})


def evaluate(work: Work, request: Content) -> Outcome:
    """At the model owner: the weighted sum of ciphertexts, re-randomised, for the data owner."""
    parameters = _parameters(work)
    model = scorecard_of(work.model(parameters.model), parameters.model)
    if model.features != parameters.features:
        raise StepError(
            f"model {parameters.model} takes other features than the job names, or in another order",
            blame="the job spec",
            remedy=f"ask {parameters.model_owner} for the model's features and name exactly those",
        )
    config, sender = request.config, parameters.data_owner
    rows = _field(config, "rows", int, sender)
    if not 0 < rows <= parameters.max_rows:
        raise _bad_letter("rows", sender)
    weights, bias = unit_form(model, _ranges(config, sender))
    scores = model_owner.evaluate(
        _field(config, "public", bytes, sender),
        _items(config, "features", bytes, sender),
        np.array(weights),
        bias,
        rows,
        sender,
    )
    event = Event("scores.returned", {"peer": sender, "rows": rows, "model": parameters.model})
    return Outcome(letters={sender: Content(config={"scores": scores})}, events=(event,))


def conclude(work: Work, request: Content) -> Outcome:
    """At the data owner: decrypt, round, and keep the scores in a file that stays here.

    Whoever withdrew consent since the features were encrypted is left out of the file.
    """
    parameters = _parameters(work)
    subjects = json.loads(work.values[_SUBJECTS])
    answer = _items(request.config, "scores", bytes, parameters.model_owner)
    logits = data_owner.decrypt(work.values[_SECRET], answer, len(subjects), parameters.model_owner)
    scores = np.round(1 / (1 + np.exp(-np.clip(logits, -60, 60))), DECIMALS)
    file = _parquet(subjects, scores, frozenset(work.subjects(parameters.dataset)))
    event = Event(
        "scores.returned", {"peer": parameters.model_owner, "rows": len(subjects), "model": parameters.model}
    )
    result = {"kind": "score", "rows": len(subjects), "kept_at": parameters.data_owner, "file": "scores.parquet"}
    return Outcome(result=result, files={"scores.parquet": file}, events=(event,))


def _scaled(features: Floats, ranges: list[Range]) -> Floats:
    """Each feature scaled by its public range to [-1, 1]."""
    scaled = np.column_stack([to_unit(features[:, index], limits) for index, limits in enumerate(ranges)])
    if np.abs(scaled).max(initial=0) > 1:
        raise StepError(
            "a feature has a value outside the range that the dataset declares for it",
            blame="this institution's datasets.toml, or its data",
            remedy="correct low and high of the dataset's columns; they are public, so take round bounds",
        )
    return scaled


def _parquet(subjects: list[str], scores: Floats, allowed: frozenset[str]) -> bytes:
    pairs = zip(subjects, scores.tolist(), strict=True)
    kept = [(subject, score) for subject, score in pairs if subject in allowed]
    buffer = io.BytesIO()
    table = {"subject": [subject for subject, _ in kept], "score": [score for _, score in kept]}
    pq.write_table(pa.table(table), buffer)
    return buffer.getvalue()


def _field(config: Mapping[str, Any], name: str, kind: type, sender: str) -> Any:
    value = config.get(name)
    if type(value) is not kind:
        raise _bad_letter(name, sender)
    return value


def _items(config: Mapping[str, Any], name: str, kind: type, sender: str) -> list[Any]:
    items: list[Any] = _field(config, name, list, sender)
    if any(type(item) is not kind for item in items):
        raise _bad_letter(name, sender)
    return items


def _ranges(config: Mapping[str, Any], sender: str) -> list[Range]:
    """The public range of each feature, as the data owner scaled by it."""
    lows, highs = (_items(config, name, float, sender) for name in ("lows", "highs"))
    if len(lows) != len(highs) or not all(low < high for low, high in zip(lows, highs, strict=True)):
        raise _bad_letter("lows and highs", sender)
    return list(zip(lows, highs, strict=True))


def _bad_letter(name: str, sender: str) -> StepError:
    return StepError(
        f"the letter from {sender} has no valid {name}",
        blame=sender,
        remedy="both institutions must run compatible versions of Consortia",
    )


def _parameters(work: Work) -> Parameters:
    return cast("Parameters", work.spec.parameters)


STEPS: Mapping[str, Step] = {
    "query.encrypt": Step(encrypt, reads=True),
    "query.evaluate": Step(evaluate, letter_from="query.encrypt"),
    "query.conclude": Step(conclude, reads=True, letter_from="query.evaluate"),
}
