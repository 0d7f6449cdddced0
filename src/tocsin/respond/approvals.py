"""Who may act, and whether an approval really is one: enrolled principals and signatures over a plan's hash."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from tocsin.domain.actions import Plan
from tocsin.domain.errors import Refused
from tocsin.domain.principals import TOCSIN, Approval, Principal, approval_message

APPROVAL_VALID_FOR = timedelta(minutes=15)
"""How long an approval stands; long enough to find a second person, short enough not to be forgotten."""

type VerifySignature = Callable[[str, bytes, str], bool]
"""(public key in hexadecimal, message, signature in hexadecimal) → whether the signature is the key's."""

type SignMessage = Callable[[bytes], str]
"""Signs a message with a principal's key; the signature in hexadecimal."""


class Principals:
    """The enrolled principals of an installation (in a drill also its simulated responders)."""

    def __init__(self, enrolled: Iterable[Principal], verify: VerifySignature) -> None:
        self._by_id = {p.id: p for p in (*enrolled, TOCSIN)}
        self._verify = verify

    def get(self, name: str) -> Principal:
        """The principal with this id.

        Raises:
            Refused: nobody of this name is enrolled.
        """
        if name not in self._by_id:
            people = ", ".join(sorted(set(self._by_id) - {TOCSIN.id})) or "nobody"
            raise Refused(
                "principal-unknown",
                f"nobody called {name!r} is enrolled",
                next_step=f"enrol them under [people] in the configuration; enrolled are {people}",
            )
        return self._by_id[name]

    def approve(self, principal: str, plan: Plan, sign: SignMessage, now: datetime) -> Approval:
        """The principal's signed consent to the plan, valid for `APPROVAL_VALID_FOR` from now."""
        expires = now + APPROVAL_VALID_FOR
        return Approval(principal, plan.hash, sign(approval_message(plan.hash, expires)), now, expires)

    def check(self, approval: Approval, plan: Plan) -> None:
        """Checks that the approval is the signed consent of an enrolled principal to exactly this plan.

        Whether it came in time is judged where it is used (`consents`), by the moment the log has it.

        Raises:
            Refused: it is not.
        """
        principal = self.get(approval.principal)
        message = approval_message(approval.plan_hash, approval.expires_at)
        if approval.plan_hash != plan.hash:
            raise Refused(
                "approval-of-another-plan",
                f"the approval of {approval.principal} is for another plan than the one that stands",
                next_step="look at the plan again (`tocsin next`) and approve it",
            )
        if not self.is_signed_by(principal, message, approval.signature):
            raise Refused(
                "approval-not-signed",
                f"the approval is not signed by the enrolled key of {approval.principal}",
                next_step="approve with the key that is enrolled under [people]",
            )

    def is_signed_by(self, principal: Principal, message: bytes, signature: str) -> bool:
        """Whether the signature over the message is by the principal's enrolled key."""
        return principal.public_key is not None and self._verify(principal.public_key, message, signature)

    def has_signed(self, principal: str, message: bytes, signature: str) -> bool:
        """Whether somebody of this name is enrolled and the signature over the message is by their key."""
        return self.signing_key(principal, message, signature) is not None

    def signing_key(self, principal: str, message: bytes, signature: str) -> str | None:
        """The enrolled key of this name if it made the signature, else None.

        People are counted by it: one key that is enrolled under two names is one person.
        """
        enrolled = self._by_id.get(principal)
        if enrolled is None or not self.is_signed_by(enrolled, message, signature):
            return None
        return enrolled.public_key

    def consents(self, approvals: Sequence[Approval], plan: Plan, now: datetime) -> frozenset[str]:
        """The different principals whose valid, unexpired consent to the plan is among the approvals.

        Of those with one key only the first counts.
        """
        by_key: dict[str | None, str] = {}
        for approval in approvals:
            try:
                self.check(approval, plan)
            except Refused:
                continue
            if approval.given_at <= now < approval.expires_at:
                by_key.setdefault(self.get(approval.principal).public_key, approval.principal)
        return frozenset(by_key.values())
