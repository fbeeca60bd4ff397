"""``consortia model``: the models that an institution's node keeps and can score with."""

from pathlib import Path

import click

from consortia_client.cli import options
from consortia_common import terminal


@click.group()
def model() -> None:
    """Keep the models that a node owns.

    A model never leaves its node: others have their encrypted customers scored by it.
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
    """Show every model that this node keeps."""
    from consortia_client import control
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        found = node.ListModels(control_pb2.ListModelsRequest(), timeout=60).models
    if as_json:
        terminal.as_json(
            [
                {"name": item.name, "digest": item.digest, "origin": item.origin, "features": list(item.features)}
                for item in found
            ]
        )
        return
    terminal.table(
        ("model", "origin", "features", "digest"),
        [(item.name, item.origin, len(item.features), item.digest[:16]) for item in found],
    )
