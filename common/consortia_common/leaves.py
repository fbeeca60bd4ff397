"""PURE: a member's own certificate, the keys that may belong to it, and when it is renewed.

A renewal makes a fresh key. Key and certificate are two files, so the key file holds the new key beside the old one
from before the request until the new certificate is there: whichever certificate a crash leaves, its key is there.
"""

import re
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from consortia_common import pki
from consortia_common.errors import CertificateError

RENEW_AT = 2 / 3
"""The part of a certificate's life after which it is renewed."""
_KEY = re.compile(rb"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n?", re.DOTALL)


def is_due(leaf: x509.Certificate, now: datetime) -> bool:
    """Whether two thirds of the certificate's life are over."""
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return now >= leaf.not_valid_before_utc + life * RENEW_AT


def key_of(leaf: x509.Certificate, keys_pem: bytes) -> bytes:
    """The key among ``keys_pem`` that the certificate is for, PEM. Raises CertificateError."""
    for pem in _KEY.findall(keys_pem):
        if pki.read_key(pem).public_key() == leaf.public_key():
            return bytes(pem)
    raise CertificateError(
        "the certificate in this folder is for a key that is not there",
        blame="whoever put the folder's files together",
        remedy="restore certificate and key from one backup, or enrol again",
    )


def both(old_pem: bytes, new: ec.EllipticCurvePrivateKey) -> bytes:
    """The content of a key file during a renewal."""
    return old_pem + pki.key_pem(new)
