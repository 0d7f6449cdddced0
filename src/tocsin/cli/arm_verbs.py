"""`tocsin arm|disarm|armed`: people consent in advance to the pause that fires by itself, and take that back."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.options import ActingOptions, Options
from tocsin.cli.output import EXIT_DID_NOT_HOLD, EXIT_DONE, duration, moment, out, print_json
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused

if TYPE_CHECKING:
    from tocsin.reflex.arming import Armament
    from tocsin.reflex.standing import Standing


def arm(*, days: Annotated[float, Parameter(name="--days")] = 30.0, options: ActingOptions | None = None) -> None:
    """Arm the reflex as it is configured now, signed with your enrolled key. What it will do is shown.

    Parameters
    ----------
    days
        For how many days you consent (at most 90).
    """
    from tocsin.app import open_desk
    from tocsin.consent import arm as consent
    from tocsin.consent import arming_time, current_armament

    options = options or ActingOptions()
    settings = options.settings()
    lasts = arming_time(days)

    async def main() -> "Armament":
        async with open_desk(settings) as desk:
            principal = desk.principals.get(options.principal(settings)).id
            sign = await desk.signer(principal)
            if not desk.principals.has_signed(principal, _TRIAL, sign(_TRIAL)):
                raise Refused(
                    "not-the-enrolled-key",
                    f"the wallet of {principal} holds another key than the one that is enrolled, so it can't consent",
                    next_step=f"mend people.{principal}.key or people.{principal}.public_key",
                )
            await consent(settings, desk.store.armings, principal, sign, desk.clock.now(), lasts)
            return await current_armament(settings, desk.store.armings, desk.principals, desk.clock)

    _show(asyncio.run(main()), settings.state, options)


def disarm(*, reason: str, options: ActingOptions | None = None) -> None:
    """Disarm the reflex at once. One person is enough, and no signature is needed.

    Parameters
    ----------
    reason
        Why; it is kept.
    """
    from tocsin.app import open_desk
    from tocsin.consent import current_armament
    from tocsin.reflex.arming import ArmingRow

    options = options or ActingOptions()
    settings = options.settings()

    async def main() -> "Armament":
        async with open_desk(settings) as desk:
            principal = desk.principals.get(options.principal(settings)).id
            await desk.store.armings.append(ArmingRow(principal, desk.clock.now(), None, None, None, reason))
            return await current_armament(settings, desk.store.armings, desk.principals, desk.clock)

    _show(asyncio.run(main()), settings.state, options)


def armed(*, options: Options | None = None) -> int:
    """Show what the reflex would do, who has armed it, and how it stands in the service. Exit code 1: not armed."""
    from tocsin.app import open_desk
    from tocsin.consent import current_armament

    options = options or Options()
    settings = options.settings()

    async def main() -> "Armament":
        async with open_desk(settings) as desk:
            return await current_armament(settings, desk.store.armings, desk.principals, desk.clock)

    found = asyncio.run(main())
    _show(found, settings.state, options)
    return EXIT_DONE if found.armed else EXIT_DID_NOT_HOLD


_TRIAL = b"tocsin arming, tried"
"""What is signed to see whether a wallet holds the enrolled key; it consents to nothing."""


def _show(found: "Armament", state: Path, options: Options) -> None:
    from tocsin.reflex.standing import read_standing

    standing, now = read_standing(state), datetime.now(UTC)
    if options.json:
        document: dict[str, Json] = {
            "armed": found.armed,
            "armed_by": list(found.armed_by),
            "until": found.until.isoformat() if found.until else None,
            "plan": dict(found.plan.as_json()),
            "plan_hash": found.plan.hash,
            "service": _service_json(standing, now) if standing is not None else None,
        }
        print_json(document)
        return
    color = "green" if found.armed else "yellow"
    out.print(f"[{color}]{'armed' if found.armed else 'not armed'}[/]  ", end="")
    who = ", ".join(found.armed_by) or "nobody"
    until = f" until {moment(found.until)}" if found.until else ""
    out.print(f"{len(found.armed_by)} of {found.plan.approvals_needed} consents: {who}{until}", markup=False)
    for title, lines in (("fires when", found.plan.rules), ("then pauses", found.plan.pauses)):
        for line in lines:
            _line(title, line)
    _line(
        "at most",
        f"{found.plan.network_fee_max} GAS network fee, {found.plan.scopes_per_hour} different pauses within an hour",
    )
    _line("plan", found.plan.hash[:16])
    _show_service(standing, now)


def _show_service(standing: "Standing | None", now: datetime) -> None:
    """How the serving process says that it stands, and whether it still serves."""
    if standing is None:
        _line("service", "no service has run here yet: nothing would be fired")
        return
    age = _age(standing, now)
    if not standing.serves(now):
        _line("service", f"no service is running: nothing would be fired; what follows is as of {age} ago")
    else:
        at = f", at block {standing.height}" if standing.height is not None else ""
        _line("service", f"running, as of {age} ago{at}: {standing.held_back or 'it would fire'}")
    for stop in standing.stops:
        until = f", prepared until block {stop.armed_until_block}" if stop.armed_until_block is not None else ""
        _line("stop", f"{stop.name}: {stop.readiness}{until}{f' ({stop.problem})' if stop.problem else ''}")
    if standing.blocks_only:
        _line("pool", f"not watched, attacks are seen in blocks only: {standing.blocks_only}")
    else:
        for source in standing.pool:
            _line("pool", f"{source.endpoint}: {source.state}{f' ({source.detail})' if source.detail else ''}")
    shot = standing.last_shot
    if shot is not None:
        _line(
            "last shot",
            f"{moment(shot.at)} {shot.stop}, {shot.reaction_ms:.1f} ms after {shot.attack} was seen: {shot.tx}",
        )


def _service_json(standing: "Standing", now: datetime) -> Json:
    shot = standing.last_shot
    return {
        "running": standing.serves(now),
        "as_of": standing.at.isoformat(),
        "age_s": round(max(0.0, (now - standing.at).total_seconds()), 3),
        "height": standing.height,
        "armed_by": list(standing.armed_by),
        "until": standing.armed_until.isoformat() if standing.armed_until else None,
        "held_back": standing.held_back,
        "blocks_only": standing.blocks_only or None,
        "pool": [{"endpoint": s.endpoint, "state": s.state, "detail": s.detail} for s in standing.pool],
        "stops": [
            {
                "name": stop.name,
                "readiness": stop.readiness.value,
                "armed_until_block": stop.armed_until_block,
                "problem": stop.problem or None,
            }
            for stop in standing.stops
        ],
        "shots": standing.shots,
        "last_shot": {
            "at": shot.at.isoformat(),
            "stop": shot.stop,
            "attack": shot.attack,
            "tx": shot.tx,
            "reaction_ms": round(shot.reaction_ms, 3),
        }
        if shot is not None
        else None,
    }


def _age(standing: "Standing", now: datetime) -> str:
    seconds = max(0, round((now - standing.at).total_seconds()))
    return f"{seconds} s" if seconds < 120 else duration(timedelta(seconds=seconds))


def _line(title: str, text: str) -> None:
    out.print(f"  {title:<12} {text}", markup=False)
