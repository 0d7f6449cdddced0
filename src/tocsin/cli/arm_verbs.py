"""`tocsin arm|disarm|armed`: people consent in advance to the pause that fires by itself, and take that back."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tocsin.cli.options import ActingOptions, Options
from tocsin.cli.output import EXIT_DID_NOT_HOLD, EXIT_DONE, moment, out, print_json
from tocsin.domain.canonical import Json

if TYPE_CHECKING:
    from tocsin.reflex.arming import Armament


def arm(*, days: Annotated[float, Parameter(name="--days")] = 30.0, options: ActingOptions | None = None) -> None:
    """Arm the reflex as it is configured now, signed with your enrolled key. What it will do is shown.

    Parameters
    ----------
    days
        For how many days you consent (at most 90).
    """
    from tocsin.app import open_desk
    from tocsin.reflexes import arm as consent
    from tocsin.reflexes import current_armament

    options = options or ActingOptions()
    settings = options.settings()

    async def main() -> "Armament":
        async with open_desk(settings) as desk:
            principal = desk.principals.get(options.principal(settings)).id
            sign = await desk.signer(principal)
            await consent(settings, desk.store.armings, principal, sign, desk.clock.now(), timedelta(days=days))
            return await current_armament(settings, desk.store.armings, desk.principals, desk.clock)

    _show(asyncio.run(main()), options)


def disarm(*, reason: str, options: ActingOptions | None = None) -> None:
    """Disarm the reflex at once. One person is enough, and no signature is needed.

    Parameters
    ----------
    reason
        Why; it is kept.
    """
    from tocsin.app import open_desk
    from tocsin.reflex.arming import ArmingRow
    from tocsin.reflexes import current_armament

    options = options or ActingOptions()
    settings = options.settings()

    async def main() -> "Armament":
        async with open_desk(settings) as desk:
            principal = desk.principals.get(options.principal(settings)).id
            await desk.store.armings.append(ArmingRow(principal, desk.clock.now(), None, None, None, reason))
            return await current_armament(settings, desk.store.armings, desk.principals, desk.clock)

    _show(asyncio.run(main()), options)


def armed(*, options: Options | None = None) -> int:
    """Show what the reflex would do and who has armed it. Exit code 1 if it is not armed."""
    from tocsin.app import open_desk
    from tocsin.reflexes import current_armament

    options = options or Options()
    settings = options.settings()

    async def main() -> "Armament":
        async with open_desk(settings) as desk:
            return await current_armament(settings, desk.store.armings, desk.principals, desk.clock)

    found = asyncio.run(main())
    _show(found, options)
    return EXIT_DONE if found.armed else EXIT_DID_NOT_HOLD


def _show(found: "Armament", options: Options) -> None:
    if options.json:
        document: dict[str, Json] = {
            "armed": found.armed,
            "armed_by": list(found.armed_by),
            "until": found.until.isoformat() if found.until else None,
            "plan": dict(found.plan.as_json()),
            "plan_hash": found.plan.hash,
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
            out.print(f"  {title:<12} {line}", markup=False)
    out.print(
        f"  {'at most':<12} {found.plan.network_fee_max} GAS network fee, "
        f"{found.plan.scopes_per_hour} different pauses within an hour",
        markup=False,
    )
    out.print(f"  {'plan':<12} {found.plan.hash[:16]}", markup=False)
