"""What a drill has to say: times, money, steps, what was looked up in the world afterwards, and the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.domain.actions import ActionStatus, QuorumResult
from tocsin.domain.amounts import Gas
from tocsin.domain.canonical import Json
from tocsin.domain.hashes import TxHash
from tocsin.incident.state import ChoiceState, IncidentState, RunState, StepStatus
from tocsin.runbook.model import Emergency


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds from the broadcast of the attack's first transaction; None where it was never reached."""

    detected_s: float | None
    declared_s: float | None
    acknowledged_s: float | None
    mitigated_s: float | None
    resolved_s: float | None

    @classmethod
    def of(cls, state: IncidentState | None, detected_at: datetime | None, attacked_at: datetime) -> "Times":
        """The times of an incident, which may never have been declared."""

        def since(moment: datetime | None) -> float | None:
            return None if moment is None else round((moment - attacked_at).total_seconds(), 3)

        if state is None:
            return cls(None, None, None, None, None)
        return cls(
            since(detected_at),
            since(state.declared_at),
            since(state.acknowledged_at),
            since(state.mitigated_at),
            since(state.resolved_at),
        )


@dataclass(frozen=True, slots=True)
class ActionScore:
    """An action of a step. An alternative that was not chosen is `skipped`."""

    action: str
    status: ActionStatus
    tx: TxHash | None = None
    quorum: QuorumResult | None = None
    effect_probe: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StepScore:
    """A step against its budget."""

    title: str
    budget: timedelta | None
    elapsed: timedelta | None
    status: StepStatus
    reason: str | None
    actions: tuple[ActionScore, ...]

    @property
    def within_budget(self) -> bool:
        """Whether the step has ended, and in time."""
        return self.elapsed is not None and (self.budget is None or self.elapsed <= self.budget)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked up in the world afterwards."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class IncidentLine:
    id: str
    emergency: str
    severity: str
    state: str


@dataclass(frozen=True, slots=True)
class DrillReport:
    """The score of a drill. Money is None in a drill without any."""

    drill: str
    emergency: str
    severity: str
    times: Times
    baseline_lost: Gas | None
    lost: Gas | None
    steps: tuple[StepScore, ...]
    incidents: tuple[IncidentLine, ...]
    checks: tuple[Check, ...]
    left_behind: tuple[str, ...]
    same_block: bool | None = None
    """Whether the pause stood before the attack's first transaction in its own block; None where that was not tried."""

    @property
    def saved(self) -> Gas | None:
        if self.baseline_lost is None or self.lost is None:
            return None
        return self.baseline_lost - self.lost

    @property
    def mitigated_in_time(self) -> bool:
        """Whether a change was verified in a step, within the step's budget."""
        return any(
            step.within_budget and any(a.status is ActionStatus.VERIFIED and a.tx for a in step.actions)
            for step in self.steps
        )

    @property
    def passed(self) -> bool:
        """The harm was stopped in time, the whole procedure is through, something was saved, nothing is left behind."""
        return (
            self.mitigated_in_time
            and all(step.status.finished for step in self.steps)
            and (self.saved is None or self.saved > Gas(0))
            and all(check.ok for check in self.checks)
            and not self.left_behind
            and self.same_block is not False
        )

    def as_json(self) -> dict[str, Json]:
        """The report as a JSON object; its fields are an interface for scripts."""
        times = self.times
        return {
            "drill": self.drill,
            "emergency": self.emergency,
            "severity": self.severity,
            "passed": self.passed,
            "times": {
                "detected_s": times.detected_s,
                "declared_s": times.declared_s,
                "acknowledged_s": times.acknowledged_s,
                "mitigated_s": times.mitigated_s,
                "resolved_s": times.resolved_s,
            },
            "baseline_lost": _text(self.baseline_lost),
            "lost": _text(self.lost),
            "saved": _text(self.saved),
            "steps": [_step_json(step) for step in self.steps],
            "incidents": [
                {"id": i.id, "emergency": i.emergency, "severity": i.severity, "state": i.state} for i in self.incidents
            ],
            "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in self.checks],
            "left_behind": list(self.left_behind),
            "same_block": self.same_block,
        }


def score_steps(emergency: Emergency, state: IncidentState | None) -> tuple[StepScore, ...]:
    """Every step of the procedure as it stands; all pending if there never was an incident."""
    scores: list[StepScore] = []
    for step in emergency.steps:
        found = state.step(step.number) if state is not None else None
        if found is None:
            budget = step.budget.most if step.budget else None
            scores.append(StepScore(step.title, budget, None, StepStatus.PENDING, None, ()))
            continue
        commands = [[c.call.action if c.call else "manual" for c in choice.alternatives] for choice in step.choices]
        actions = [
            score
            for choice, names in zip(found.choices, commands, strict=True)
            for score in _score_choice(choice, names)
        ]
        elapsed = found.finished_at - found.started_at if found.finished_at and found.started_at else None
        budget = found.budget.most if found.budget else None
        scores.append(StepScore(found.title, budget, elapsed, found.status, found.reason, tuple(actions)))
    return tuple(scores)


def _score_choice(choice: ChoiceState, actions: Sequence[str]) -> Sequence[ActionScore]:
    run = choice.run
    scores: list[ActionScore] = []
    for number, action in enumerate(actions):
        if run is None:
            scores.append(ActionScore(action, ActionStatus.SKIPPED))
        elif number == (run.alternative if run.alternative is not None else run.alternatives[0]):
            scores.append(_score_run(action, run))
        else:
            scores.append(ActionScore(action, ActionStatus.SKIPPED))
    return scores


def _score_run(action: str, run: RunState) -> ActionScore:
    verification = run.verification
    return ActionScore(
        action,
        run.status,
        run.tx,
        verification.quorum if verification else None,
        verification.effect_probe if verification else None,
        run.error_message if run.error else None,
    )


def _step_json(step: StepScore) -> dict[str, Json]:
    return {
        "title": step.title,
        "budget_s": None if step.budget is None else step.budget.total_seconds(),
        "elapsed_s": None if step.elapsed is None else round(step.elapsed.total_seconds(), 3),
        # A step that is being worked on when the drill ends was not done: scripts know four words.
        "status": "pending" if step.status is StepStatus.ACTIVE else str(step.status),
        "reason": step.reason,
        "actions": [_action_json(action) for action in step.actions],
    }


def _action_json(action: ActionScore) -> dict[str, Json]:
    quorum = action.quorum
    return {
        "action": action.action,
        "status": str(action.status),
        "tx": action.tx,
        "quorum": None if quorum is None else {"needed": quorum.needed, "confirmed": quorum.confirmed, "of": quorum.of},
        "effect_probe": action.effect_probe,
        "error": action.error,
    }


def _text(amount: Gas | None) -> str | None:
    return None if amount is None else str(amount)
