"""What a person sees: results on one stream, explanations on the other, never a traceback."""

import click
import pytest

from consortia_common import terminal
from consortia_common.errors import ExchangeError


def _run(error: BaseException) -> int:
    @click.command()
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        terminal.run(command.main, [])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_a_refusal_is_explained(capsys: pytest.CaptureFixture[str]):
    what = "the [bold]call[/] failed " + "x" * 200
    assert _run(ExchangeError(what, blame="the network", remedy="try again")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"Refused:    {what}",
        "At fault:   the network",
        "What to do: try again",
    ]


def test_the_unforeseen_shows_its_kind_and_place_only(capsys: pytest.CaptureFixture[str]):
    assert _run(ValueError("income of customer 4711")) == 1
    error = capsys.readouterr().err
    assert f"ValueError in {__name__}:" in error
    assert "4711" not in error
    assert "Traceback" not in error


def test_an_interrupt_is_no_error(capsys: pytest.CaptureFixture[str]):
    assert _run(KeyboardInterrupt()) in (1, terminal.INTERRUPTED)
    assert "Traceback" not in capsys.readouterr().err


def test_usage_keeps_clicks_code(capsys: pytest.CaptureFixture[str]):
    assert _run(click.UsageError("no such thing")) == 2
    assert "no such thing" in capsys.readouterr().err


def test_results_go_to_standard_output_and_are_never_cut(capsys: pytest.CaptureFixture[str]):
    terminal.done("made [it]")
    terminal.facts({"fingerprint": "f" * 300, "n": 3})
    terminal.table(["bank", "rows"], [["bank-a", 3]], title="Rows")
    terminal.note("Next: " + "y" * 300)
    captured = capsys.readouterr()
    assert "✓ made [it]" in captured.out
    assert "fingerprint  " + "f" * 300 + "\n" in captured.out
    assert "bank-a" in captured.out
    assert captured.err == "Next: " + "y" * 300 + "\n"
