"""Write the JSON Schemas that docs/schemas publishes, from the models that nodes read documents with."""

from pathlib import Path

from consortia_common.documents import agreement_schema

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"

if __name__ == "__main__":
    (FOLDER / agreement_schema.FILE).write_text(agreement_schema.schema_text())
