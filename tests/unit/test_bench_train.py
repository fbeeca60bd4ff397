"""The training benchmark's own parts: its rows, the pooled fit beside LightGBM, and the plain sums."""

import numpy as np

from benchmarks.train import data, pooled
from benchmarks.train.kinds.schemas.plain_train import Parameters as Plain
from benchmarks.train.kinds.steps.plain_train import STEPS
from consortia_common.content import Content
from tests.support.specs import spec
from tests.support.work import PlainWork

TREES = {"type": "boosted_trees", "trees": 4, "depth": 3, "bins": 16}


def test_the_pooled_fit_is_about_as_good_as_lightgbm() -> None:
    rows, test = data.made(2000, 6, 1), data.made(1000, 6, 2)
    asked = spec("train", features=data.names(6), label=data.LABEL, max_rows=5000, model=TREES)
    ours, model = pooled.fit(asked, rows, test)
    reference, theirs = pooled.lightgbm_fit(TREES, rows, test)
    assert min(ours.seconds, ours.processor, reference.seconds, reference.processor) > 0
    assert abs(pooled.auc(model, test) - theirs) < 0.03
    assert theirs > 0.65


def test_rows_are_the_same_every_time() -> None:
    once, again = data.made(50, 6, 3), data.made(50, 6, 3)
    assert all((once[name] == again[name]).all() for name in once)
    assert (data.made(50, 6, 4)[data.LABEL] != once[data.LABEL]).any()


def test_a_plain_job_takes_the_same_steps_without_sums() -> None:
    parameters = spec("train", model=TREES).parameters
    plain = Plain.model_validate(parameters.model_dump())
    assert plain.sums() == {}
    assert not any(turn.gives for turn in plain.turns("bank-a"))
    assert [turn.step for turn in plain.turns("bank-a")][:-2] == [turn.step for turn in parameters.turns("bank-a")][
        :-1
    ]
    assert plain.as_train() == parameters


def test_in_plain_sight_a_step_sends_what_it_would_seal() -> None:
    asked = spec("train", features=data.names(6), label=data.LABEL, max_rows=500)
    asked = asked.model_copy(update={"parameters": Plain.model_validate(asked.parameters.model_dump())})
    work = PlainWork(asked, "bank-a", {"clients": data.made(200, 6, 1)})
    said = STEPS["query.prepare"].run(work, Content()).content.arrays["summand"]
    assert said[0] == 200
    work.turn = 1
    update = STEPS["train"].run(work, Content(arrays={"prepared": said})).content.arrays["summand"]
    assert np.isfinite(update).all()
