"""The family that the example raises."""

from consortia_crypto.errors import ConsortiaError


class DemoError(ConsortiaError):
    """The example can't go on: its data, or a command that it ran, is not as it must be."""
