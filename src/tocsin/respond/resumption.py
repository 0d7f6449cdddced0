"""Resuming, slow on purpose: a request that two people have approved, and a checklist gone through item by item.

Pure. The request travels between the two as a file; what it asks for is a plan like any other, so an approval is a
signature over its hash. Tocsin does not hold the admin's key: what comes of an approved request is a transaction for
the admin's signers.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tocsin.domain.actions import Plan
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.errors import Refused
from tocsin.domain.principals import Approval
from tocsin.respond.approvals import Principals, SignMessage
from tocsin.runbook.model import Runbook

APPROVALS_NEEDED = 2


@dataclass(frozen=True, slots=True)
class Resumption:
    """A request to resume a target by a call (in words), with the checklist as it was confirmed, and its approvals.

    `network` is the magic number of the chain that it is for.
    """

    target: PauseTarget
    call: str
    reason: str
    asked_by: str
    asked_at: datetime
    checklist: tuple[str, ...]
    runbook_hash: str
    network: int
    approvals: tuple[Approval, ...] = ()

    def plan(self) -> Plan:
        """What the approvers consent to."""
        return Plan(
            run=f"resume/{self.target}/{self.asked_at.isoformat()}",
            action="contract.resume",
            summary=f"resume {self.target}: {self.call} ({self.reason})",
            inputs={"call": self.call, "asked_by": self.asked_by, "checklist": list(self.checklist)},
            before={},
            resources=(),
            approvals_needed=APPROVALS_NEEDED,
            runbook_hash=self.runbook_hash,
            network=self.network,
        )

    def approved(self, principals: Principals, principal: str, sign: SignMessage, now: datetime) -> "Resumption":
        """The request with this person's signed consent.

        Raises:
            Refused: the person is not enrolled, has approved it already (under whatever name), or signs with
                another key than the enrolled.
        """
        plan = self.plan()
        approval = principals.approve(principal, plan, sign, now)
        principals.check(approval, plan)
        approvals = (*self.approvals, approval)
        if principals.consents(approvals, plan, now) == principals.consents(self.approvals, plan, now):
            raise Refused(
                "second-person-needed",
                f"{principal} has approved this already; it takes another person",
                next_step="give the file to another enrolled person",
            )
        return replace(self, approvals=approvals)

    def consenting(self, principals: Principals, now: datetime) -> tuple[str, ...]:
        """Who consents now, with an approval that is valid and has not expired."""
        return tuple(sorted(principals.consents(self.approvals, self.plan(), now)))


def confirmed_checklist(runbook: Runbook, confirmed: Collection[int]) -> tuple[str, ...]:
    """The runbook's recovery checklist, if every item of it (counted from 1) is among the confirmed.

    Raises:
        Refused: an item is not confirmed, or a number means no item.
    """
    items = runbook.recovery_checklist
    if strange := sorted(set(confirmed) - set(range(1, len(items) + 1))):
        raise Refused(
            "no-such-item",
            f"the recovery checklist has {len(items)} items and no number {', '.join(map(str, strange))}",
            next_step="see the numbers with `tocsin resume` and no --confirm",
        )
    missing = [(number, item) for number, item in enumerate(items, 1) if number not in confirmed]
    if missing:
        shown = "; ".join(f"{number}. {item.text}" for number, item in missing)
        raise Refused(
            "checklist-open",
            f"not confirmed of the recovery checklist ({items[0].position}): {shown}",
            next_step="confirm what is true, with --confirm NUMBER for each; nobody should for the others",
            data={"open": [{"number": number, "text": item.text} for number, item in missing]},
        )
    return tuple(item.text for item in items)


def must_match(request: Resumption, *, call: str, checklist: Sequence[str], runbook_hash: str, network: int) -> None:
    """Makes sure that a request which came as a file asks for what this installation would ask for.

    Raises:
        Refused: its call, its checklist, its runbook or its network is another.
    """
    differences = [
        what
        for what, same in (
            (f"it would call {request.call}, and resuming is {call} here", request.call == call),
            ("its checklist is not the runbook's", tuple(request.checklist) == tuple(checklist)),
            ("it was made for another runbook", request.runbook_hash == runbook_hash),
            (f"it is for network {request.network}, and this one is {network}", request.network == network),
        )
        if not same
    ]
    if differences:
        raise Refused(
            "request-differs",
            f"the request is not one of this installation: {'; '.join(differences)}",
            next_step="find out who changed the file or the configuration, and ask anew with `tocsin resume`",
        )
