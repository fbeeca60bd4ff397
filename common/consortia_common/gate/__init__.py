"""PURE: whether an institution takes part in a job. Its node decides alone, from its own copy of the agreement.

Nothing that the coordinator says is an input. A job is accepted only if no rule objects. Nodes decide with it,
together with a second evaluator of another make; `consortia audit why` runs the same rules again over what a log
says that the node knew, and `consortia agreement simulate` runs them with another version of the agreement.
"""

from collections.abc import Iterator

from consortia_common.documents.agreement import Agreement
from consortia_common.gate import guards, rules
from consortia_common.gate.request import ACCEPT, Decision, GateRequest, refusal

RULES = rules.RULES + guards.RULES


def decide(request: GateRequest) -> Decision:
    """Accept, or the first refusal in the order of RULES."""
    if request.agreement is None:
        cited = request.spec.agreement
        return refusal("agreement", f"The job cites agreement {cited}; this institution has none of that name.")
    return next((refused for _, refused in judge(request, request.agreement) if refused), ACCEPT)


def judge(request: GateRequest, agreement: Agreement) -> Iterator[tuple[str, Decision | None]]:
    """What each rule says in the order of RULES: its name, and its refusal if it objects."""
    for rule in RULES:
        yield rule.__name__.strip("_").replace("_", " "), rule(request, agreement)
