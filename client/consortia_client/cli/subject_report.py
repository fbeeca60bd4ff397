"""``consortia subject report``: what a customer is told, for the service desk to hand over."""

import json
from pathlib import Path

import click

from consortia_client.cli import options
from consortia_common import terminal


@click.command()
@click.argument("subject")
@click.option(
    "--lang", "language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="The language."
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page to this file instead, which prints on A4 and needs nothing else.",
)
@options.config
@options.as_json
def report(subject: str, language: str, html_file: Path | None, config_file: Path, as_json: bool) -> None:
    """Tell how the data of the customer SUBJECT were used (GDPR 15, PIPL 45).

    Who used what, when, for which purpose, with whom and under which consent, out of the institution's own log. It
    names the customer by pseudonym only; --json has the same facts for programs.
    """
    from consortia_client import control, pages
    from consortia_client.subject_page import page_of
    from consortia_common import keyfiles
    from consortia_proto.v1 import control_pb2

    with control.node(config_file) as node:
        made = node.ReportSubject(control_pb2.ShowSubjectRequest(subject=subject), timeout=600)
    document = json.loads(made.document)
    if as_json:
        terminal.as_json(document)
    elif html_file is not None:
        keyfiles.write_file(html_file, pages.as_html(page_of(document, language)).encode())
        terminal.done(f"the report is in {html_file}")
    else:
        click.echo(pages.as_text(page_of(document, language)), nl=False)
