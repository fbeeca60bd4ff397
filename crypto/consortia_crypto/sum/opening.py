"""What an institution's shell does with the plans of its state machine: seal its vector, open the sum.

The order of trust: the state machine has checked signatures and certificate and says which masks there are and
what the bound is; this module believes no byte of a total before its tag fits.

A total is refused in one way only, at the end of the vector, whatever is wrong with it: a coordinator that moved a
word and then learned whether the sum left its bounds, or where, would have learned something of the sum.
"""

from collections.abc import Iterator

from consortia_crypto.errors import SumError
from consortia_crypto.sum import masking
from consortia_crypto.sum import tag as tags
from consortia_crypto.sum.masking import MemberGroup
from consortia_crypto.sum.plans import MaskPlan, OpenPlan
from consortia_crypto.sum.rooms import Room
from consortia_crypto.sum.terms import SumPolicy
from consortia_crypto.sum.vector import Integers, Octets, Vector, check_size, frame_of


def seal(
    policy: SumPolicy,
    group: MemberGroup,
    values: Vector,
    sink: Vector,
    plan: MaskPlan,
    threads: int | None = None,
) -> tuple[str, int]:
    """Write ``values`` masked into ``sink``; the SHA-256 of that and the masked tag.

    Raises SumError for a value beyond the limit, which the tag's key is for: its frame is not even masked.
    """
    check_size(values, group.values, "the vector to be sealed")
    check_size(sink, group.wire, "the place for the sealed vector")
    key = tags.TagKey.derive(plan.tag_key, policy.limit)
    tag = 0

    def sealed(frame: int, read: Octets, room: Room) -> tuple[Octets, list[int]]:
        integers = group.values.integers(read)
        try:
            rows = key.rows(integers, room.piece)
        except SumError as error:
            raise _beyond_the_limit() from error
        return group.seal(frame, integers, plan.masks, room), rows

    def noted() -> Iterator[Octets]:
        nonlocal tag
        for octets, rows in made:
            tag = key.fold(tag, rows)
            yield octets

    made = masking.in_order(
        group.values.frames,
        lambda frame, room: frame_of(values, group.values, frame, room.read),
        sealed,
        masking.thread_count(group, plan.masks, threads),
    )
    digest = masking.written(noted(), group.wire, sink)
    return digest, tags.shift(tag, plan.tag_masks)


def open_total(group: MemberGroup, total: Vector, sink: Vector, plan: OpenPlan, threads: int | None = None) -> None:
    """Write the sum that ``total`` holds into ``sink``. Raises SumError or CiphertextError if it is none.

    After an error what ``sink`` holds is nothing, and must not be read.
    """
    check_size(total, group.wire, "the sealed total")
    check_size(sink, group.values, "the place for the sum")
    key = tags.TagKey.derive(plan.tag_key, plan.bound)

    def opened(frame: int, sealed: Octets, room: Room) -> tuple[Integers, list[int]] | None:
        try:
            values = group.open(frame, sealed, plan.masks, room)
            return values, key.rows(values, room.piece)
        except SumError:
            return None

    found, possible = 0, True
    frames = masking.in_order(
        group.wire.frames,
        lambda frame, room: frame_of(total, group.wire, frame, room.read),
        opened,
        masking.thread_count(group, plan.masks, threads),
    )
    for frame, made in enumerate(frames):
        if made is None:
            possible = False
            continue
        values, rows = made
        sink.write(group.values.offset(frame), group.values.octets(values))
        found = key.fold(found, rows)
    if not possible or not tags.accepts(found, tags.shift(plan.tag, plan.tag_masks)):
        raise SumError(
            "a total was refused: it is not the sum of what the institutions sealed",
            blame="the coordinator, or an institution that colludes with it",
            remedy="stop the job; by the hashes that all signed, each can demand the uploads and add them again",
        )


def _beyond_the_limit() -> SumError:
    return SumError(
        "a vector was not sealed: a value is beyond the policy's limit",
        blame="this institution's job code",
        remedy="bring the values to fixed point under the same policy",
    )
