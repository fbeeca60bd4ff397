"""Contents in files and what comes of them piece by piece: whole, resumed, damaged, given up, swept."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, create_engine, select

from consortia_common.content import Beside, HashedBlobs
from consortia_common.contents import INLINE_BYTES, REPLY, TASK, Contents, Message, content_tables
from consortia_common.errors import BrokenRuleError, ConnectionLostError, ExchangeError
from consortia_common.inbox import Inbox
from consortia_common.stream import CHUNK_BYTES, Piece

METADATA = MetaData()
TABLES = content_tables(METADATA)
LONG = os.urandom(2 * CHUNK_BYTES + 5)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'any.db'}")
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


Open = Callable[[str], Inbox]


@pytest.fixture
def inbox_of(engine: Engine, contents: Contents) -> Iterator[Open]:
    opened: list[Inbox] = []

    def open_one(peer: str) -> Inbox:
        opened.append(Inbox(engine, contents, peer))
        return opened[-1]

    yield open_one
    for inbox in opened:
        inbox.close()


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    return Contents(TABLES, tmp_path / "exchange")


def piece(offset: int, data: bytes = LONG, *, message_id: str = "m", whole: bytes = LONG) -> Piece:
    part = data[offset : offset + CHUNK_BYTES]
    return Piece(message_id, len(whole), hashlib.sha256(whole).digest(), offset, part)


def all_of(whole: bytes) -> list[Piece]:
    return [piece(offset, whole, whole=whole) for offset in range(0, len(whole), CHUNK_BYTES)]


def body_of(*parts: bytes) -> Beside:
    body = Beside()
    for part in parts:
        body.put(part)
    return body


def files(contents: Contents) -> int:
    return len(list(contents.folder.iterdir()))


def feed(inbox: Inbox, *pieces: Piece) -> Message | None:
    found = None
    for each in pieces:
        found = inbox.take(each)
    return found


def keep(engine: Engine, contents: Contents, message: Message, side: str = TASK) -> None:
    with engine.begin() as connection:
        contents.keep(connection, message.message_id, side, message.content)


@pytest.mark.parametrize("size", [1, INLINE_BYTES, INLINE_BYTES + 1, CHUNK_BYTES + 1])
def test_what_is_kept_is_read_back_whole_and_in_pieces(size: int, engine: Engine, contents: Contents) -> None:
    data = os.urandom(size)
    made = contents.make(data)
    keep(engine, contents, Message("m", made))
    with engine.connect() as connection:
        held = contents.get(connection, "m", TASK)
        assert contents.get(connection, "m", REPLY) is None
    assert held == made
    assert held.head() == data
    assert held.piece(0) + held.piece(CHUNK_BYTES) == data
    assert files(contents) == (size > INLINE_BYTES)


def test_a_body_is_read_from_where_it_is_kept(engine: Engine, contents: Contents) -> None:
    made, other = contents.make_all([b"head", b"another"], body_of(b"first", LONG))
    keep(engine, contents, Message("m", made))
    keep(engine, contents, Message("n", other))
    with engine.connect() as connection:
        held = contents.get(connection, "m", TASK)
    assert held == made
    assert (held.head(), held.size) == (b"head", 5 + len(LONG))
    assert held.read(0, 5) == b"first"
    assert held.read(5, len(LONG)) == LONG
    assert held.digest == hashlib.sha256(b"first" + LONG).hexdigest()
    assert held.sha256 == hashlib.sha256(held.body_sha256 + b"head").digest()
    assert b"".join(held.piece(o) for o in range(0, held.total, CHUNK_BYTES)) == b"first" + LONG + b"head"
    with engine.begin() as connection:
        contents.remove(contents.drop(connection, TABLES.contents.c.message_id == "m"))
    assert (other.head(), other.read(0, 5)) == (b"another", b"first")
    assert files(contents) == 1


def test_a_body_whose_hash_is_known_is_not_hashed_again(contents: Contents) -> None:
    body = Beside()
    body.put_all(HashedBlobs([b"first", LONG], "ab" * 32))
    (made,) = contents.make_all([b"head"], body)
    assert made.digest == "ab" * 32
    assert made.sha256 == hashlib.sha256(b"\xab" * 32 + b"head").digest()


@pytest.mark.parametrize("body", [b"first", LONG], ids=["short", "long"])
@pytest.mark.parametrize("cut", [False, True])
def test_the_hash_of_a_body_comes_with_the_message(body: bytes, cut: bool, inbox_of: Open) -> None:
    whole, digest = body + b"head", hashlib.sha256(body).digest()
    sha256 = hashlib.sha256(digest + b"head").digest()
    pieces = [replace(part, sha256=sha256, body=len(body)) for part in all_of(whole)]
    if cut:
        feed(inbox_of("bank-a"), *pieces[:1])
    message = feed(inbox_of("bank-a"), *pieces[cut and len(pieces) > 1 :])
    assert message is not None
    assert (message.content.body_sha256, message.content.read(0, len(body))) == (digest, body)


@pytest.mark.parametrize("body", [0, 1, 4, 6, len(LONG) - 1])
def test_a_body_of_another_length_is_another_message(body: int, inbox_of: Open) -> None:
    """Its announced length is no part of what is hashed, but where the hash of the body ends is."""
    whole = LONG + b"head"
    sha256 = hashlib.sha256(hashlib.sha256(LONG).digest() + b"head").digest()
    with pytest.raises(ExchangeError, match="does not match its hash"):
        feed(inbox_of("bank-a"), *[replace(part, sha256=sha256, body=body) for part in all_of(whole)])


def test_what_is_dropped_is_gone_from_the_disk_after_the_commit(engine: Engine, contents: Contents) -> None:
    keep(engine, contents, Message("m", contents.make(LONG)))
    with engine.begin() as connection:
        gone = contents.drop(connection, TABLES.contents.c.message_id == "m")
        assert files(contents) == 1
    contents.remove(gone)
    assert files(contents) == 0


def test_a_message_comes_piece_by_piece_into_a_file(inbox_of: Open, engine: Engine, contents: Contents) -> None:
    inbox = inbox_of("bank-a")
    message = feed(inbox, *(piece(offset) for offset in range(0, len(LONG), CHUNK_BYTES)))
    assert message is not None
    assert message.content.path is not None
    assert message.content.head() == LONG
    keep(engine, contents, message)
    assert inbox_of("bank-a").parts == ()
    contents.sweep(engine)
    assert files(contents) == 1


def test_what_had_come_is_gone_on_with_by_the_next_inbox(
    inbox_of: Open, engine: Engine, contents: Contents
) -> None:
    feed(inbox_of("bank-a"), piece(0))
    assert inbox_of("bank-b").parts == ()
    after = inbox_of("bank-a")
    (part,) = after.parts
    assert (part.message_id, part.have, part.total) == ("m", CHUNK_BYTES, len(LONG))
    message = feed(after, piece(CHUNK_BYTES), piece(2 * CHUNK_BYTES))
    assert message is not None
    assert message.content.head() == LONG


def test_an_inbox_brings_nothing_more_once_another_has_come(
    inbox_of: Open, engine: Engine, contents: Contents
) -> None:
    before = inbox_of("bank-a")
    feed(before, piece(0))
    inbox_of("bank-a")
    with pytest.raises(ConnectionLostError, match="newer"):
        feed(before, piece(CHUNK_BYTES))


@pytest.mark.parametrize("length", [0, 10, CHUNK_BYTES, CHUNK_BYTES + 10, len(LONG)])
def test_whole_pieces_count_as_there_and_never_all_of_it(
    inbox_of: Open, length: int, engine: Engine, contents: Contents
) -> None:
    """A crash came when so much of the file was on disk."""
    feed(inbox_of("bank-a"), piece(0), piece(CHUNK_BYTES))
    (file,) = contents.folder.iterdir()
    file.write_bytes(LONG[:length])
    inbox = inbox_of("bank-a")
    have = inbox.parts[0].have
    assert have == length // CHUNK_BYTES * CHUNK_BYTES
    if have:
        message = feed(inbox, *(piece(offset) for offset in range(have, len(LONG), CHUNK_BYTES)))
        assert message is not None
        assert message.content.head() == LONG


def test_a_damaged_beginning_is_asked_for_anew_and_a_wrong_message_is_the_peers_fault(
    inbox_of: Open, engine: Engine, contents: Contents
) -> None:
    feed(inbox_of("bank-a"), piece(0))
    (file,) = contents.folder.iterdir()
    file.write_bytes(bytes(CHUNK_BYTES))
    with pytest.raises(ConnectionLostError, match="asked for anew"):
        feed(inbox_of("bank-a"), piece(CHUNK_BYTES), piece(2 * CHUNK_BYTES))
    again = inbox_of("bank-a")
    assert again.parts == ()
    wrong = bytes(len(LONG))
    with pytest.raises(BrokenRuleError, match="does not match its hash") as caught:
        feed(again, *(piece(offset, wrong) for offset in range(0, len(LONG), CHUNK_BYTES)))
    assert caught.value.blame == "bank-a"
    assert files(contents) == 0


@pytest.mark.parametrize("size", [4, INLINE_BYTES + 1])
def test_a_short_message_with_another_hash_leaves_nothing(
    inbox_of: Open, size: int, engine: Engine, contents: Contents
) -> None:
    with pytest.raises(BrokenRuleError, match="does not match its hash"):
        inbox_of("bank-a").take(piece(0, bytes(size), whole=b"x" * size))
    contents.sweep(engine)
    assert files(contents) == 0


def test_what_is_displaced_leaves_nothing(inbox_of: Open, engine: Engine, contents: Contents) -> None:
    feed(inbox_of("bank-a"), piece(0, message_id="old"))
    displacing = piece(0, message_id="new")
    inbox = inbox_of("bank-a")
    inbox.take(Piece("new", len(LONG), displacing.sha256, 0, displacing.data, displaced=("old",)))
    with engine.connect() as connection:
        assert list(connection.scalars(select(TABLES.unfinished.c.message_id))) == ["new"]
    assert files(contents) == 1


def test_a_start_removes_what_no_row_names(inbox_of: Open, engine: Engine, contents: Contents) -> None:
    keep(engine, contents, Message("kept", contents.make(LONG)))
    feed(inbox_of("bank-a"), piece(0, message_id="unfinished"))
    contents.make(LONG)  # a crash came before its transaction
    message = feed(inbox_of("bank-b"), *(piece(o) for o in range(0, len(LONG), CHUNK_BYTES)))
    assert message is not None  # a crash came before it was stored
    assert files(contents) == 4
    contents.sweep(engine)
    assert files(contents) == 2


@pytest.mark.parametrize("lasting", [True, False])
def test_what_its_sender_would_send_again_is_not_synced(
    lasting: bool, engine: Engine, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    inbox = Inbox(engine, contents, "bank-a", lasting=lambda message_id: lasting and message_id == "m")
    message = feed(inbox, *(piece(offset) for offset in range(0, len(LONG), CHUNK_BYTES)))
    assert message is not None
    assert len(synced) == lasting
    keep(engine, contents, message)
    assert contents.damaged(engine, TASK, TABLES.contents.c.total > 0) == []
    assert message.content.path
    message.content.path.write_bytes(LONG[:-1])
    assert contents.damaged(engine, TASK, TABLES.contents.c.total > 0) == ["m"]
    assert contents.damaged(engine, REPLY, TABLES.contents.c.total > 0) == []
