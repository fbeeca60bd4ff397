"""What a failed call means where the peer itself said nothing: gRPC's and TLS's words put into a person's.

gRPC tells the causes of a refused connection apart only in the text of its message, so that text is searched for
signs; a text that has none gets a general answer, never a wrong one.
"""

import grpc

_UNAVAILABLE = (
    (
        ("connection refused", "no such file"),
        ("nothing listens there", "whoever runs it", "start it, or correct the address; then try again"),
    ),
    (
        ("dns", "name resolution", "domain name"),
        ("its name can't be resolved", "whoever wrote the address", "correct the address"),
    ),
    (
        ("ping_timeout", "ping timeout", "keepalive"),
        ("the connection was silent for too long", "the network, or a machine that is too busy", "try again"),
    ),
    (
        ("certificate_verify_failed", "hostname", "peer name", "not in peer certificate"),
        (
            "it does not show a certificate of this network that is valid by this machine's clock",
            "whoever answers at that address",
            "check the address and the clock; if they are right, ask the operator and compare fingerprints",
        ),
    ),
    (
        ("handshake", "ssl", "tls", "alert", "certificate", "socket closed", "connection reset", "broken pipe"),
        (
            "the secure connection was refused, or cut",
            "this end's certificate, if it is expired or another network's; else the other end, or its clock",
            "check that enrolment is recent and that the other end runs; enrol again if it has expired",
        ),
    ),
)
_OTHER = {
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        "no answer in time", "the other end or the network", "try again; if it persists, ask its operator",
    ),
    grpc.StatusCode.UNIMPLEMENTED: (
        "it does not know this call", "two versions that do not fit", "upgrade the older end",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        "a message is larger than the contract allows", "whoever made it", "ask for less at once",
    ),
}  # fmt: skip


def diagnose(code: grpc.StatusCode, details: str) -> tuple[str, str, str]:
    """What happened, who is at fault and what helps, where the peer itself said nothing."""
    text = details.lower()
    if code is grpc.StatusCode.UNAVAILABLE:
        for signs, diagnosis in _UNAVAILABLE:
            if any(sign in text for sign in signs):
                return diagnosis
        return "it can't be reached", "the network or the other end", "check that it runs; then try again"
    return _OTHER.get(code, (f"status {code.name}", "the other end", "look into both ends' process logs"))
