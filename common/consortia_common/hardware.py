"""Keys in a hardware module, reached by PKCS #11: which one a URI names, and the two kinds that Consortia uses.

P-256 keys sign certificates, Ed25519 keys an identity's statements and its log. They are made in the module and
can't be taken out. ML-DSA-65 and the envelope's X-Wing key, for which modules have no common interface yet, stay in
the identity's file: a thief of the file alone can't sign, but opens envelopes.

The URI follows RFC 7512: ``pkcs11:token=…;object=…?module-path=…&pin-source=file:…``. The PIN is read from that
file, which only its owner may read; a PIN in the URI is refused. Needs the extra ``pkcs11``.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import parse_qsl, unquote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from consortia_common.errors import KeyModuleError

SCHEME = "pkcs11:"
ReadPin = Callable[[Path], bytes]
"""Reads a file that nobody else may read; raises SettingsError."""
_ED25519 = "1.3.101.112"
_P256 = "secp256r1"
_T = TypeVar("_T")
_sessions: dict[tuple[str, str], "_Session"] = {}
_one_at_a_time = RLock()


@dataclass(frozen=True)
class KeyUri:
    """Which key of which token, by which library, with the PIN in which file."""

    text: str
    token: str
    object: str
    module: str
    pin_file: Path

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that ``text`` names. Raises KeyModuleError."""
        if not text.startswith(SCHEME) or not text.isascii() or not text.isprintable() or len(text) > 2000:
            _refuse("it does not begin with pkcs11:, or holds what a URI can't")
        path, _, query = text.removeprefix(SCHEME).partition("?")
        parts = [part.partition("=") for part in path.split(";")]
        named = {name: unquote(value) for name, _, value in parts} | dict(parse_qsl(query))
        if "pin-value" in named:
            _refuse("it holds the PIN itself", "write the PIN to a file of mode 0600 and name that as pin-source")
        if set(named) != {"token", "object", "module-path", "pin-source"} or not all(named.values()):
            _refuse("it must name token, object, module-path and pin-source, and nothing else")
        pin = Path(named["pin-source"].removeprefix("file:"))
        return cls(text, named["token"], named["object"], named["module-path"], pin)


class ModuleP256(ec.EllipticCurvePrivateKey):
    """A P-256 key in a module, in the place of one in memory."""

    def __init__(self, uri: KeyUri, session: "_Session", public: bytes) -> None:
        self.uri = uri.text
        self._uri = uri
        self._session = session
        self._public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA with SHA-256, DER. Raises KeyModuleError."""
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            _refuse("only ECDSA with SHA-256 is used with it")
        raw = self._session.sign(self._uri, hashlib.sha256(data).digest(), "ECDSA")
        half = len(raw) // 2
        return utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """In bits."""
        return self.curve.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Never done with a key that signs."""
        del algorithm, peer_public_key
        _refuse("it signs, and does nothing else")

    def private_numbers(self) -> NoReturn:
        """The private half stays in the module."""
        _refuse("it can't be taken out of its module")

    def private_bytes(self, *arguments: object, **options: object) -> NoReturn:
        """The private half stays in the module."""
        del arguments, options
        _refuse("it can't be taken out of its module")

    def __copy__(self) -> "ModuleP256":
        return self

    def __deepcopy__(self, memo: object) -> "ModuleP256":
        return self


@dataclass(frozen=True)
class ModuleEd25519:
    """An Ed25519 key in a module: consortia_crypto.keys.ModuleKey."""

    key: KeyUri
    session: "_Session"
    public_bytes: bytes

    @property
    def uri(self) -> str:
        """Where it is."""
        return self.key.text

    def sign(self, message: bytes) -> bytes:
        """64 bytes. Raises KeyModuleError."""
        return self.session.sign(self.key, message, "EDDSA")


def open_p256(text: str, read_pin: ReadPin, *, make: bool = False) -> ModuleP256:
    """The P-256 key of that URI; ``make``: made now if the token has none of that name. Raises ConsortiaError."""
    uri = KeyUri.parse(text)
    session = _session_of(uri, read_pin)
    return ModuleP256(uri, session, session.public(uri, "EC", _P256, 65, make=make))


def open_ed25519(text: str, read_pin: ReadPin, *, make: bool = False) -> ModuleEd25519:
    """The Ed25519 key of that URI; ``make`` as above. Raises ConsortiaError."""
    uri = KeyUri.parse(text)
    session = _session_of(uri, read_pin)
    return ModuleEd25519(uri, session, session.public(uri, "EC_EDWARDS", _ED25519, 32, make=make))


class _Session:
    """A session with one token, in which one thing is done at a time; opened anew once when it has broken."""

    def __init__(self, uri: KeyUri, read_pin: ReadPin) -> None:
        self._uri = uri
        self._read_pin = read_pin
        self._library = _library()
        self._open: Any = None

    def sign(self, uri: KeyUri, message: bytes, mechanism: str) -> bytes:
        def do(session: Any) -> bytes:
            key = self._find(session, uri, "PRIVATE_KEY")
            return bytes(key.sign(message, mechanism=self._library.Mechanism[mechanism]))

        return self._use(uri, do)

    def public(self, uri: KeyUri, kind: str, curve: str, length: int, *, make: bool) -> bytes:
        """The public half of a key of that kind."""

        def do(session: Any) -> bytes:
            try:
                key = self._find(session, uri, "PUBLIC_KEY")
            except self._library.NoSuchKey:
                if not make:
                    raise
                key = self._make(session, uri, kind, curve)
            if key.key_type != self._library.KeyType[kind]:
                _refuse(f"{uri.object} is a key of another kind")
            return bytes(key[self._library.Attribute.EC_POINT])[-length:]

        return self._use(uri, do)

    def _make(self, session: Any, uri: KeyUri, kind: str, curve: str) -> Any:
        library, types = self._library, import_module("pkcs11.util.ec")
        parameters = {library.Attribute.EC_PARAMS: types.encode_named_curve_parameters(curve)}
        made = session.create_domain_parameters(library.KeyType[kind], parameters, local=True)
        how = "EC_EDWARDS_KEY_PAIR_GEN" if kind == "EC_EDWARDS" else "EC_KEY_PAIR_GEN"
        secret = {library.Attribute.SENSITIVE: True, library.Attribute.EXTRACTABLE: False}
        public, _ = made.generate_keypair(
            mechanism=library.Mechanism[how], store=True, label=uri.object, private_template=secret
        )
        return public

    def _find(self, session: Any, uri: KeyUri, kind: str) -> Any:
        return session.get_key(label=uri.object, object_class=self._library.ObjectClass[kind])

    def _use(self, uri: KeyUri, do: Callable[[Any], _T]) -> _T:
        with _one_at_a_time:
            try:
                return self._try(do)
            except (self._library.NoSuchKey, self._library.PinIncorrect, self._library.PinLocked) as error:
                raise _failed(uri, error) from error
            except (
                RuntimeError
            ):  # the base of the library's own errors, and what it raises for a module that is none
                self._hang_up()
            try:
                return self._try(do)
            except RuntimeError as error:
                raise _failed(uri, error) from error

    def _hang_up(self) -> None:
        session, self._open = self._open, None
        if session is not None:
            with suppress(RuntimeError):  # it has broken
                session.close()

    def _try(self, do: Callable[[Any], _T]) -> _T:
        if self._open is None:
            pin = self._read_pin(self._uri.pin_file).decode("utf-8", "replace").strip()
            token = self._library.lib(self._uri.module).get_token(token_label=self._uri.token)
            self._open = token.open(rw=True, user_pin=pin)
        return do(self._open)


def _session_of(uri: KeyUri, read_pin: ReadPin) -> _Session:
    """A process logs in to a token once."""
    with _one_at_a_time:
        place = uri.module, uri.token
        if place not in _sessions:
            _sessions[place] = _Session(uri, read_pin)
        return _sessions[place]


def _library() -> Any:
    try:
        return import_module("pkcs11")
    except ModuleNotFoundError as error:
        raise KeyModuleError(
            "a key lies in a hardware module, and the library python-pkcs11 is not installed",
            blame="this installation, which lacks an extra",
            remedy='run: pip install "consortia[pkcs11]"',
        ) from error


def _failed(uri: KeyUri, error: Exception) -> KeyModuleError:
    return KeyModuleError(
        f"the key {uri.object} of token {uri.token} can't be used ({type(error).__name__})",
        blame="the hardware module, its token or its PIN",
        remedy="check that the token is there, that the PIN's file is right, and what the URI names",
    )


def _refuse(why: str, remedy: str = "correct the URI of the key (docs/identity.md)") -> NoReturn:
    raise KeyModuleError(f"a key in a hardware module was refused: {why}", blame="whoever named it", remedy=remedy)
