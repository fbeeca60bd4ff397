"""Write the JSON Schemas that docs/schemas publishes, from the models that nodes read documents with."""

from pathlib import Path

from consortia_common.documents import agreement_schema, job_schema

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"

if __name__ == "__main__":
    for module in (agreement_schema, job_schema):
        (FOLDER / module.FILE).write_text(module.schema_text())
