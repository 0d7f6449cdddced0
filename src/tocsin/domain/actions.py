"""Actions as values: a call as the runbook wrote it, how freely it may run, and the plan a preflight makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tocsin.domain.canonical import Json, digest


@dataclass(frozen=True, slots=True, order=True)
class SourcePosition:
    """Where something stands in a document; line and column count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Autonomy(StrEnum):
    """How freely an action may run, the strictest first."""

    OBSERVE = "observe"
    ASK = "ask"
    ASK_THEN_ACT = "ask_then_act"
    ACT = "act"

    @staticmethod
    def strictest(*words: "Autonomy") -> "Autonomy":
        """The word that wins among several settings.

        Raises:
            ValueError: no word given.
        """
        order = list(Autonomy)
        return min(words, key=order.index)


@dataclass(frozen=True, slots=True)
class ActionCall:
    """A verb with the arguments that the runbook gives it, not yet bound to the platform.

    `arguments` may hold `<placeholders>`; binding replaces them by the variables of the configuration. `inferred` says
    that the call was read from a plain `bash` fence: such a call always asks.
    """

    action: str
    arguments: Mapping[str, Json]
    position: SourcePosition
    inferred: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done if it is approved: one run of one action with bound inputs.

    `inputs` is the typed input as JSON, `before` what the preflight saw standing (evidence for compensation, not part
    of the consent), `resources` what the run leases so that no two runs change one thing at a time. `network` is the
    magic number of the chain, so that a consent given for one (a test network, say) is none on another.
    """

    run: str
    action: str
    summary: str
    inputs: Mapping[str, Json]
    before: Mapping[str, Json]
    resources: tuple[str, ...]
    approvals_needed: int
    runbook_hash: str
    network: int

    @property
    def hash(self) -> str:
        """SHA-256 over what an approver consents to: this run, action, inputs, runbook and network."""
        return digest(
            {
                "run": self.run,
                "action": self.action,
                "summary": self.summary,
                "inputs": self.inputs,
                "approvals_needed": self.approvals_needed,
                "runbook": self.runbook_hash,
                "network": self.network,
            }
        )


class ActionStatus(StrEnum):
    """How one run of an action stands or ended; the words of the drill's report."""

    PREFLIGHT = "preflight"
    WAITING = "waiting"
    RUNNING = "running"
    VERIFIED = "verified"
    REFUSED = "refused"
    FAILED = "failed"
    PARTIAL = "partial"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class QuorumResult:
    """How many independent providers confirmed a reading: `confirmed` of `of` asked, `needed` to believe it."""

    needed: int
    confirmed: int
    of: int

    @property
    def reached(self) -> bool:
        return self.confirmed >= self.needed


@dataclass(frozen=True, slots=True)
class Verification:
    """What was read from the world after a run: whether the change really holds, and on what evidence.

    `effect_probe` is a sentence: which user call worked before and is refused now; None where there is no probe.
    """

    holds: bool
    summary: str
    height: int | None = None
    quorum: QuorumResult | None = None
    effect_probe: str | None = None
    included_at: int | None = None
    """The block that holds the run's transaction; `height` is where the world was read afterwards."""
    partial: bool = False
    """It does not hold as a whole, but something stands: what does and what does not is in `summary`."""
