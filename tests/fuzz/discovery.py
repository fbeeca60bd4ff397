"""What in the product reads bytes or values from outside, found by how it is called, so that nothing is forgotten.

Found are, in the packages below: classmethods named as in READERS, and public functions whose first argument is
bytes under one of the names that hostile bytes have. Each must be in the table of targets, or in OURS with the
reason why no peer's bytes reach it.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

PACKAGES = ("consortia_crypto", "consortia_common", "consortia_node", "consortia_coordinator", "consortia_client")
READERS = frozenset({"parse", "from_bytes", "from_canonical", "from_proto", "from_document"})
NAMES = frozenset({"raw", "data", "pem", "chain_pem", "envelope", "context", "public", "first"})
OURS: Mapping[str, str] = {
    "consortia_crypto.keys.PrivateIdentity": "a secret file of one's own",
    "consortia_crypto.he.context.load": "called by load_public and SecretContext once they have checked the bytes",
    "consortia_crypto.he.context.fields_of": "the first part of load_public",
    "consortia_crypto.he.wire.check_key": "the second part of load_public",
    "consortia_crypto.audit.tree.leaf_hash": "hashes, parses nothing",
    "consortia_crypto.audit.shape.match": "the first part of Entry.parse",
    "consortia_crypto.sum.messages.Message": "the base of the messages",
    "consortia_crypto.sum.member._Record": "what Member.from_bytes reads first",
    "consortia_crypto.sum.collector._Record": "what Collector.from_bytes reads first",
    "consortia_common.contents.in_memory": "keeps, parses nothing",
    "consortia_common.roots.SignedRoots": "a file of one's own; members check what they are sent by Roots.accept",
    "consortia_common.hardware.KeyUri": "a setting of one's own",
    "consortia_coordinator.certificates.record_of": "a certificate that this coordinator has just issued",
    "consortia_common.pki.read_key": "a secret file of one's own",
    "consortia_node.consent.document_of": "a row of one's own database",
    "consortia_node.store.subject_record.decoded": "a row of one's own database",
}
"""Readers whose bytes come from their own side, or that others of the table begin with, by qualified name."""
ELSEWHERE: Mapping[str, str] = {
    "consortia_common.audit_standalone.verify.": "tests/property/test_audit_standalone.py",
    "consortia_crypto.he.context.load_public": "tests/property/test_he_garbage.py",
    "consortia_crypto.score.model_owner.evaluate": "tests/property/test_he_garbage.py",
}
"""Readers, by how their names begin, that another test fuzzes: it compares two of them, or loads SEAL."""

_NOT_READ = (".cli", ".migrations", ".torch_network")
"""Modules by parts of their names: they read no peer's bytes, and the last needs an extra."""


def readers() -> Iterator[str]:
    """The qualified names of everything that must be a target or be in OURS; of a class's readers, the class."""
    for module in _modules():
        for name, item in vars(module).items():
            if getattr(item, "__module__", "") == module.__name__ and _reads(name, item):
                yield f"{module.__name__}.{name}"


def _reads(name: str, item: Any) -> bool:
    if inspect.isclass(item):
        return not inspect.isabstract(item) and any(inspect.ismethod(getattr(item, each, None)) for each in READERS)
    if not inspect.isfunction(item) or name.startswith("_"):
        return False
    first = next(iter(inspect.signature(item).parameters.values()), None)
    return first is not None and first.name in NAMES and first.annotation is bytes


def load(name: str) -> Any:
    """The reader of this name."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        root = importlib.import_module(package)
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not any(part in found.name for part in _NOT_READ):
                yield importlib.import_module(found.name)
