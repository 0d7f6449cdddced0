"""What the tests of the incident share: a small procedure, and a story in which people and Tocsin say what happens."""

from datetime import UTC, datetime, timedelta

from tocsin.domain.actions import ActionCall, ActionStatus, Autonomy, Plan, SourcePosition, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.hashes import tx_hash
from tocsin.domain.principals import TOCSIN, Approval
from tocsin.incident.commands import Command
from tocsin.incident.decide import decide, replay, start
from tocsin.incident.events import Declared, Event, PlanApproved, PlanProposed, Recorded, RunFinished
from tocsin.incident.refusals import refusal
from tocsin.incident.state import IncidentState, Promises, RunState, StepState
from tocsin.runbook.model import Budget, ChecklistItem, Choice, Emergency, Severity, Step
from tocsin.runbook.model import Command as RunbookCommand

INCIDENT = "INC-1"
RUNBOOK_HASH = "c0ffee"
NETWORK = 860_833_102
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
HERE = SourcePosition("RUNBOOK.md", 1)
TX = tx_hash("0x" + "ab" * 32)
OTHER_TX = tx_hash("0x" + "cd" * 32)

PROMISES = Promises(
    acknowledge_within={Severity.P0: timedelta(minutes=5), Severity.P1: timedelta(minutes=30)},
    respond_within={Severity.P0: timedelta(minutes=15), Severity.P1: timedelta(hours=1)},
)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def budget(most: int, least: int | None = None) -> Budget:
    """A budget in minutes."""
    return Budget(least=minutes(most if least is None else least), most=minutes(most))


def command(text: str) -> RunbookCommand:
    call = ActionCall("contract.pause", {}, HERE)
    return RunbookCommand(text=text, comment=None, call=call, manual=None, position=HERE)


def choice(*texts: str) -> Choice:
    return Choice(tuple(command(text) for text in texts))


def items(*texts: str) -> tuple[ChecklistItem, ...]:
    return tuple(ChecklistItem(text, HERE) for text in texts)


def step(
    number: int,
    title: str,
    *,
    within: Budget | None = None,
    condition: str | None = None,
    choices: tuple[Choice, ...] = (),
    checklist: tuple[ChecklistItem, ...] = (),
) -> Step:
    return Step(number, title, within, condition, choices, checklist, HERE)


def emergency(*steps: Step, title: str = "Smart Contract Exploit") -> Emergency:
    return Emergency(
        slug=title.lower().replace(" ", "-"),
        title=title,
        severity=Severity.P0,
        symptoms=(),
        steps=steps,
        prevention=(),
        post_incident=(),
        position=HERE,
    )


EXPLOIT = emergency(
    step(1, "Pause Contracts", within=budget(5), choices=(choice("pauseAll", "setPaused"),)),
    step(2, "Investigate", within=budget(15), checklist=items("Review transactions", "Check logs")),
    step(3, "Recovery", within=budget(240, least=60)),
)


def finished(run: str, status: ActionStatus = ActionStatus.VERIFIED, message: str = "it broke") -> RunFinished:
    verified = status is ActionStatus.VERIFIED
    error: dict[str, Json] = {"code": "broken", "message": message}
    return RunFinished(
        run=run,
        status=status,
        tx=TX if verified else None,
        height=7 if verified else None,
        verification=Verification(holds=True, summary="paused", height=8) if verified else None,
        error=None if verified else error,
    )


def plan(run: str, action: str = "contract.pause", approvals_needed: int = 1) -> Plan:
    return Plan(
        run=run,
        action=action,
        summary=f"{action} now",
        inputs={"reason": "exploit"},
        before={},
        resources=("registry",),
        approvals_needed=approvals_needed,
        runbook_hash=RUNBOOK_HASH,
        network=NETWORK,
    )


class Story:
    """An incident as it goes on: who says what, what Tocsin is asked for then, and how things stand."""

    def __init__(
        self,
        procedure: Emergency = EXPLOIT,
        *,
        severity: Severity = Severity.P0,
        mode: Autonomy = Autonomy.ACT,
        promises: Promises = PROMISES,
    ) -> None:
        self.procedure = procedure
        self.promises = promises
        self.now = MIDNIGHT
        declared = Declared(procedure.slug, procedure.title, severity, "key", "funds move", RUNBOOK_HASH, mode)
        self.log = [Recorded(INCIDENT, 1, self.now, TOCSIN.id, "declared", declared)]
        self.state, self.commands = start(procedure, promises, self.log[0])

    def passes(self, time: timedelta) -> None:
        self.now += time

    def record(self, principal: str, event: Event) -> tuple[Command, ...]:
        """Appends the event, whatever it says, as a log would; gives what is asked for."""
        seq = len(self.log) + 1
        recorded = Recorded(INCIDENT, seq, self.now, principal, f"event-{seq}", event)
        self.log.append(recorded)
        self.state, commands = decide(self.state, recorded)
        return commands

    def says(self, principal: str, event: Event) -> tuple[Command, ...]:
        """A person says something that applies."""
        assert self.refused(principal, event) is None
        return self.record(principal, event)

    def tocsin(self, event: Event) -> tuple[Command, ...]:
        """Tocsin records something that applies."""
        return self.says(TOCSIN.id, event)

    def refused(self, principal: str, event: Event) -> str | None:
        return refusal(self.state, event, principal, self.now)

    def proposes(
        self,
        run: str,
        autonomy: Autonomy = Autonomy.ACT,
        *,
        alternative: int = 0,
        action: str = "contract.pause",
        approvals_needed: int = 1,
    ) -> tuple[Command, ...]:
        """The preflight of a run passes."""
        return self.tocsin(PlanProposed(run, alternative, plan(run, action, approvals_needed), autonomy))

    def approval(self, run: str, by: str, *, valid_for: timedelta = timedelta(minutes=10)) -> PlanApproved:
        proposed = self.run(run).plan
        plan_hash = proposed.hash if proposed is not None else "none"
        return PlanApproved(run, Approval(by, plan_hash, "signature", self.now, self.now + valid_for))

    def approves(self, by: str, run: str) -> tuple[Command, ...]:
        return self.says(by, self.approval(run, by))

    def step(self, number: int) -> StepState:
        found = self.state.step(number)
        assert found is not None
        return found

    def run(self, run: str) -> RunState:
        found = self.state.run(run)
        assert found is not None
        return found

    def replayed(self) -> IncidentState:
        return replay(self.procedure, self.promises, self.log)
