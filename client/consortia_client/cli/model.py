"""``consortia model``: the models that an institution's node keeps and can score with."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from consortia_client.cli import options
from consortia_common import terminal

if TYPE_CHECKING:
    from consortia_common.documents.fitted import Model
    from consortia_proto.v1 import control_pb2

_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_MODEL = click.argument("model")


@click.group()
def model() -> None:
    """Keep the models that a node owns, and read, judge and use a model in a file.

    A node hands its models to its own people only: others have their encrypted customers scored by them.
    """


@model.command()
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.config
def add(name: str, file: Path, config_file: Path) -> None:
    """Keep the model in FILE under NAME.

    FILE is a model that a train job made, or a scorecard (JSON or YAML) with the fields type logistic_regression,
    features, weights, bias and, if inputs are standardised, means and scales.
    """
    from consortia_client import control
    from consortia_common.models.scorecard import read
    from consortia_proto.v1 import control_pb2

    document = read(options.text_of(file), str(file)).canonical()
    with control.node(config_file) as node:
        view = node.AddModel(control_pb2.AddModelRequest(name=name, document=document), timeout=60)
    terminal.done(f"model {view.name} kept")
    terminal.facts({"digest": view.digest, "features": len(view.features)})


@model.command(name="list")
@options.config
@options.as_json
def list_(config_file: Path, as_json: bool) -> None:
    """Show every model that this node keeps, and those withdrawn that it does not keep.

    Of a model that this institution has withdrawn it says which other parties have acknowledged that.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        found = node.ListModels(control_pb2.ListModelsRequest(), timeout=60).models
    if as_json:
        terminal.as_json(
            [
                {
                    "name": item.name,
                    "digest": item.digest,
                    "origin": item.origin,
                    "features": list(item.features),
                    "withdrawn": _withdrawn(item) or None,
                    "told": list(item.withdrawn.recipients),
                    "acknowledged": {one.institution: one.received_at for one in item.withdrawn.acknowledgements},
                }
                for item in found
            ]
        )
        return
    terminal.table(
        ("model", "origin", "features", "digest", "state"),
        [
            (
                item.name,
                "its job" if item.origin == item.name else item.origin,
                len(item.features) or "",
                item.digest[:16] or "not kept here",
                _state(item),
            )
            for item in found
        ],
    )


@model.command()
@_MODEL
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@options.optional_config
@click.option("--onnx", is_flag=True, help="Write an ONNX file, with the preparation in it; needs consortia[onnx].")
def export(model: str, out: Path, config_file: Path | None, *, onnx: bool) -> None:
    """Write MODEL to OUT, as it is or as an ONNX file.

    MODEL is the name of a model that the node with --config keeps, or, without --config, a file: a model, a train
    job's result, or a scorecard.
    """
    from consortia_client.model_files import written

    found = _kept(model, config_file) if config_file else _in_file(model)
    out.write_bytes(written(found, ".onnx" if onnx else ".json"))
    terminal.done(f"model {model} written to {out}")


@model.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why, in a line; the other parties and their logs are told.")
@options.config
def withdraw(name: str, reason: str, config_file: Path) -> None:
    """Let the model NAME count no more, here and at the other parties of its job.

    NAME is that under which this node keeps it, or the id of a job whose model only its analyst has.
    Nodes that keep it refuse to export it and jobs that name it, and its result can't be fetched any more. A file
    that was made of it before can't be fetched back.
    """
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        asked = control_pb2.WithdrawModelRequest(name=name, reason=reason)
        view = node.WithdrawModel(asked, timeout=60)
    terminal.done(f"model {view.name} withdrawn")
    if view.withdrawn.recipients:
        terminal.facts({"told": ", ".join(view.withdrawn.recipients)})


@model.command()
@_MODEL
@options.optional_config
@click.option("--json", "as_json", is_flag=True, help="Print the whole document.")
def show(model: str, config_file: Path | None, *, as_json: bool) -> None:
    """Show what MODEL is, whose data it learned from and how good it is.

    MODEL is the name of a model that the node with --config keeps, or, without --config, a file: a model, a train
    job's result (`consortia job result JOB --json`), or a scorecard.
    """
    from consortia_client.model_card import card
    from consortia_client.pages import as_text

    found, withdrawn = _shown(model, config_file)
    if as_json:
        terminal.as_json(found.model_dump(mode="json"))
    else:
        click.echo(as_text(card(found, withdrawn)), nl=False)


@model.command(name="card")
@_MODEL
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@options.optional_config
def card_(model: str, out: Path, config_file: Path | None) -> None:
    """Write the card of MODEL to OUT, by its ending: .html (with curves, prints on A4) or .md.

    MODEL is the name of a model that the node with --config keeps, or, without --config, a file.
    """
    from consortia_client.model_card import card
    from consortia_client.pages import as_html, as_markdown

    page = card(*_shown(model, config_file))
    out.write_text(as_markdown(page) if out.suffix == ".md" else as_html(page), encoding="utf-8")
    terminal.done(f"card written to {out}")


@model.command()
@_FILE
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
def predict(file: Path, data: Path, out: Path) -> None:
    """Answer with the model in FILE for every row of DATA; write the answers to OUT.

    DATA and OUT are Parquet or CSV, by their endings; OUT has DATA's columns and one more, named prediction. Runs
    here, and sends nothing anywhere.
    """
    from consortia_client.predicting import predict_file

    rows = predict_file(_read(file), data, out)
    terminal.done(f"{rows:,} rows answered in {out}")


def _in_file(path: str) -> "Model":
    if not Path(path).is_file():
        raise click.UsageError(f"There is no file {path}. If a node keeps a model of that name, give its --config.")
    return _read(Path(path))


def _kept(name: str, config_file: Path) -> "Model":
    from consortia_client import control
    from consortia_common.documents.fitted import Model
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        found = node.ExportModel(control_pb2.ExportModelRequest(name=name), timeout=60)
    return Model.from_canonical(found.document, f"model {name}")


def _shown(model: str, config_file: Path | None) -> "tuple[Model, str]":
    """The model, and how it was withdrawn, as far as is known here."""
    from consortia_client import control
    from consortia_common.documents.fitted import Model
    from consortia_proto.v1 import control_pb2

    if config_file is None:
        return _in_file(model), ""
    with control.node(config_file) as node:
        found = node.ShowModel(control_pb2.ShowModelRequest(name=model), timeout=60)
    return Model.from_canonical(found.document, f"model {model}"), _withdrawn(found.view)


def _state(view: "control_pb2.ModelView") -> str:
    """In a few words; of a withdrawal of this institution's own also who has acknowledged it."""
    by = view.withdrawn
    if not view.HasField("withdrawn"):
        return "stands"
    heard = {one.institution for one in by.acknowledgements}
    parts = {
        "acknowledged by": [name for name in by.recipients if name in heard],
        "not yet by": [name for name in by.recipients if name not in heard],
    }
    said = [f"{what} {', '.join(names)}" for what, names in parts.items() if names]
    return "; ".join([f"withdrawn by {by.institution}", *said])


def _withdrawn(view: "control_pb2.ModelView") -> str:
    """By whom, when and why; nothing if the model stands."""
    by = view.withdrawn
    return f"withdrawn by {by.institution} on {by.at[:10]}: {by.reason}" if view.HasField("withdrawn") else ""


def _read(file: Path) -> "Model":
    from consortia_common.models.scorecard import read

    return read(options.text_of(file), str(file))
