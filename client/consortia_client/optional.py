"""Libraries that are only needed by some: imported when asked for, and named when they are not installed."""

import importlib
from typing import Any

from consortia_client.errors import MissingExtraError


def load(module: str, what: str, install: str) -> Any:
    """The module. Raises MissingExtraError, which says for ``what`` it is needed and how to ``install`` it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{what} needs {module.partition('.')[0]}, which is not installed here",
            blame="nobody",
            remedy=f"install it where this runs: pip install '{install}'",
        ) from error
