"""PURE: a model as a file, by the file's ending: its document, an ONNX file, or its card."""

from consortia_client.errors import ClientError
from consortia_client.model_card import card
from consortia_client.optional import load
from consortia_client.pages import as_html, as_markdown
from consortia_common.documents.fitted import Model


def written(model: Model, ending: str) -> bytes:
    """The file's bytes. Raises ClientError for an ending that says nothing, MissingExtraError without onnx."""
    match ending:
        case ".json":
            return model.canonical()
        case ".onnx":
            load("onnx", "an ONNX file", "consortia[onnx]")
            from consortia_client.onnx_export import to_onnx  # noqa: PLC0415  # needs onnx

            return to_onnx(model)
        case ".html":
            return as_html(card(model)).encode()
        case ".md":
            return as_markdown(card(model)).encode()
    raise ClientError(
        f"a model can't be written as {ending[:20] or 'a file without an ending'}",
        blame="whoever chose the file's name",
        remedy="end it with .json (the document), .onnx (ONNX), .html or .md (the card)",
    )
