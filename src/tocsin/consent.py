"""What people arm, made of the configuration alone, and their acts of arming: so `tocsin arm` needs no server.

Part of what `app` does. What the acts amount to is `reflex.arming`'s, what is then done `reflexes`'.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tocsin.domain.bundles import PauseTarget
from tocsin.domain.canonical import Json
from tocsin.domain.clock import Clock
from tocsin.domain.errors import Refused
from tocsin.platform import contract_named, pause_ways
from tocsin.reflex.arming import (
    ARMED_FOR_DEFAULT,
    ARMED_FOR_MAX,
    Armament,
    ArmingRow,
    Armings,
    ReflexPlan,
    armament,
    arming_message,
)
from tocsin.respond.approvals import Principals, SignMessage
from tocsin.rule_settings import RuleSettings
from tocsin.settings import Settings

REASON = "Tocsin reflex"
"""The reason that a fired pause gives on the chain."""


def reflex_plan(settings: Settings) -> ReflexPlan:
    """What people arm: the rules, the pause of each watched contract, and the limits, as the configuration has them."""
    ways = pause_ways(settings)
    watched = sorted({name for rule in settings.rules for name in rule.contracts})
    pauses = [
        f"{name} ({contract_named(settings, name)}): "
        f"{_call_in_words(ways.arguments(pause_target(settings, name), REASON))}"
        for name in watched
    ]
    rules = [_rule_in_words(rule) for rule in settings.rules]
    return ReflexPlan(
        magic=settings.network.magic,
        rules=tuple(rules),
        known=settings.reflex.known,
        endpoints=tuple(f"{e.name} of {e.provider}: {e.url}" for e in settings.network.endpoints),
        quorum=settings.network.quorum,
        pauses=tuple(pauses),
        network_fee_max=settings.network.network_fee_max,
        scopes_per_hour=settings.reflex.scopes_per_hour,
        approvals_needed=settings.reflex.approvals,
    )


def _rule_in_words(rule: RuleSettings) -> str:
    windows = "".join(f", {name} over {window.model_dump_json()}" for name, window in sorted(rule.windows.items()))
    return (
        f"{rule.name}: {rule.condition} within {rule.window:g} s, on {', '.join(rule.contracts)}, "
        f"known recipients {', '.join(rule.known_recipients) or 'none'}{windows}"
    )


async def arm(
    settings: Settings,
    armings: Armings,
    principal: str,
    sign: SignMessage,
    now: datetime,
    lasts: timedelta = ARMED_FOR_DEFAULT,
) -> ReflexPlan:
    """Records a person's signed consent to the reflex as it is configured now, for `lasts` from now.

    Raises:
        Refused: there is nothing to arm, or the time is longer than people may consent ahead.
        ConfigurationInvalid: it is not clear how to pause what a rule watches.
    """
    if not timedelta() < lasts <= ARMED_FOR_MAX:
        raise _not_that_long()
    plan = reflex_plan(settings)
    if not plan.rules:
        raise Refused("nothing-to-arm", "the configuration has no rule", next_step="add a [[rules]] entry")
    expires = now + lasts
    signature = sign(arming_message(plan.hash, expires))
    await armings.append(ArmingRow(principal, now, plan.hash, expires, signature, ""))
    return plan


def arming_time(days: float) -> timedelta:
    """For how long a person consents who says so many days.

    Raises:
        Refused: it is no time for which anybody may consent.
    """
    if not (math.isfinite(days) and 0 < days <= ARMED_FOR_MAX.days):
        raise _not_that_long()
    return timedelta(days=days)


def _not_that_long() -> Refused:
    return Refused(
        "arming-too-long",
        f"a reflex is armed for more than nothing and at most {ARMED_FOR_MAX.days} days",
        next_step="arm it for a shorter time, and again before that is over",
    )


async def current_armament(settings: Settings, armings: Armings, principals: Principals, clock: Clock) -> Armament:
    """Whether people have armed the reflex as it is configured now."""
    return armament(reflex_plan(settings), await armings.all(), principals.signing_key, clock.now())


def pause_target(settings: Settings, contract: str) -> PauseTarget:
    """What is paused for the sake of a contract of the configuration: the app that it belongs to, or everything."""
    entry = settings.contracts.get(contract)
    return PauseTarget(entry.app if entry else None)


def _call_in_words(arguments: Mapping[str, Json]) -> str:
    texts = arguments["args"]
    assert isinstance(texts, Sequence), "PauseWays gives a list"
    return f"{arguments['contract']}.{arguments['method']}({', '.join(str(text) for text in texts)})"
