"""Principals (who acts) and approvals (a principal's consent to one plan)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PrincipalKind(StrEnum):
    """What kind of actor a principal is; see DESIGN, "Principal"."""

    PERSON = "person"
    POLICY = "policy"
    SIMULATED = "simulated"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts.

    A person is enrolled by a public key (compressed secp256r1, 66 hexadecimal digits). A simulated responder exists
    only in drill wiring. The system principal records what Tocsin itself observed (outcomes, deadlines).
    """

    id: str
    kind: PrincipalKind
    name: str
    public_key: str | None = None


TOCSIN = Principal(id="tocsin", kind=PrincipalKind.SYSTEM, name="Tocsin")


@dataclass(frozen=True, slots=True)
class Approval:
    """A principal's consent to exactly one plan.

    `signature` is the principal's key over `approval_message(plan_hash, expires_at)`, in hexadecimal.
    """

    principal: str
    plan_hash: str
    signature: str
    given_at: datetime
    expires_at: datetime


def approval_message(plan_hash: str, expires_at: datetime) -> bytes:
    """The bytes that an approver signs: purpose, plan and expiry, so that a signature serves for nothing else."""
    return f"tocsin approval\n{plan_hash}\n{expires_at.isoformat()}".encode()
