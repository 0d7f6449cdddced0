"""Offline bundles: pauses signed in advance for a USB stick, and sending one from a machine that has no key.

What stands beside the bytes in a bundle is believed of nobody: it says which call to expect, and the bytes are refused
unless they make exactly that call (`Presigner.unseal`). When they expire is read from the bytes too.

Nodes take a transaction only while its last block is at most so many blocks ahead (`Horizon.blocks_max`). So a bundle
may hold the same pause for several windows, each beginning where the one before ends.
"""

from collections.abc import Sequence
from dataclasses import replace

from tocsin.connect.ports import Horizon, Invocation, OutboxEntry, Unsealed
from tocsin.domain.bundles import PauseBundle, PauseTarget, SealedPause
from tocsin.domain.errors import Refused
from tocsin.respond.breakglass import PURPOSE, BreakGlass, PauseOutcome
from tocsin.respond.presigned import PresignedSender

WINDOWS_MAX = 30
FEE_MARGIN_PERCENT = 50
"""Above what the rehearsal measured: the committee may raise prices before the bundle is used."""


async def make_bundle(
    glass: BreakGlass, *, network: int, platform: str, by: str, reason: str, windows: int = 1
) -> PauseBundle:
    """Signs a pause of everything and of each known app, for this many windows one after the other. Sends nothing.

    Raises:
        ConfigurationInvalid, Refused, Unavailable: one of them can't be rehearsed or signed.
    """
    horizon = await glass.presigner.horizon()
    action = glass.action(glass.sender)
    sealed: list[SealedPause] = []
    targets = glass.ways.targets()
    if not targets:
        raise Refused(
            "nothing-to-bundle",
            "the configuration binds no call that pauses everything or one app",
            next_step="add a [[pause]] entry",
        )
    for target in targets:
        given = await action.bind(glass.ways.arguments(target, reason))
        summary = (await action.preflight(given)).summary
        glass.tell(f"Signing to {summary}")
        for window in range(1, windows + 1):
            until = horizon.height + window * horizon.blocks_max
            entry = await glass.presigner.seal(
                f"bundle/{target}/{until}",
                [given.call.invocation()],
                purpose=PURPOSE,
                valid_until_block=until,
                margin_percent=FEE_MARGIN_PERCENT,
            )
            begins = until - horizon.blocks_max
            sealed.append(
                SealedPause(target, reason, f"pause {given.stops}: {given.call}", entry.tx, entry.raw, begins, until)
            )
    now = glass.clock.now()
    return PauseBundle(network, platform, by, now, horizon.height, horizon.block_ms, tuple(sealed))


async def send_bundle(
    glass: BreakGlass, bundle: PauseBundle, target: PauseTarget, *, network: int, dry_run: bool = False
) -> PauseOutcome:
    """Sends the bundle's pause of this target and verifies it, as `BreakGlass.pause` does. Needs no key.

    Raises:
        Refused: it is of another network, has no such pause, is expired, or its bytes are not what they should be.
        Others: as `BreakGlass.pause`.
    """
    if bundle.network != network:
        raise Refused(
            "bundle-of-another-network",
            f"the bundle is for network {bundle.network}, and the configuration for {network}",
            next_step="take the bundle of this network, or the configuration of that one",
            data={"bundle": bundle.network, "configuration": network},
        )
    reading = glass.action(glass.sender)
    candidates: list[tuple[SealedPause, Unsealed]] = []
    for pause in bundle.pauses:
        if pause.target == target:
            given = await reading.bind(glass.ways.arguments(target, pause.reason))
            candidates.append((pause, glass.presigner.unseal(pause.raw, [given.call.invocation()])))
    if not candidates:
        held = dict.fromkeys(str(pause.target) for pause in bundle.pauses)
        raise Refused(
            "not-in-bundle", f"the bundle has no pause of {target}", next_step=f"it has {', '.join(held) or 'none'}"
        )
    chosen, unsealed = _in_time(bundle, candidates, await glass.presigner.horizon())

    async def signed(key: str, _calls: Sequence[Invocation]) -> OutboxEntry:
        return OutboxEntry(
            key, unsealed.tx, chosen.raw, unsealed.valid_until_block, PURPOSE, created_at=glass.clock.now()
        )

    sender = PresignedSender(glass.sender, glass.presigner, glass.outbox, signed, unsealed.account)
    action = glass.action(sender)
    given = await action.bind(glass.ways.arguments(target, chosen.reason))
    plan = await action.preflight(given)
    summary = (
        f"{plan.summary}, by transaction {unsealed.tx}, signed by {bundle.by} at {bundle.made_at:%Y-%m-%d %H:%M} UTC"
    )
    plan = replace(plan, summary=summary)
    return await glass.carry_out(action, given, target, plan, dry_run=dry_run, key=f"bundle/{target}/{unsealed.tx}")


def _in_time(
    bundle: PauseBundle, candidates: Sequence[tuple[SealedPause, Unsealed]], horizon: Horizon
) -> tuple[SealedPause, Unsealed]:
    """The pause that nodes take now, of several windows the one that expires first."""
    in_order = sorted(candidates, key=lambda candidate: candidate[1].valid_until_block)
    standing = [each for each in in_order if each[1].valid_until_block > horizon.height]
    if not standing:
        last = in_order[-1][1].valid_until_block
        raise Refused(
            "bundle-expired",
            f"the bundle expired with block {last} (about {bundle.about_when(last):%Y-%m-%d %H:%M} UTC); "
            f"the chain is at block {horizon.height}",
            next_step="pause with the key (`tocsin pause`), and make a new bundle",
            data={"valid_until_block": last, "height": horizon.height},
        )
    if standing[0][1].valid_until_block > horizon.height + horizon.blocks_max:
        first = standing[0][1].valid_until_block - horizon.blocks_max
        raise Refused(
            "bundle-not-yet-valid",
            f"nodes take the bundle from block {first} on; the chain is at block {horizon.height}",
            next_step=f"wait until block {first}, or pause with the key (`tocsin pause`)",
            data={"valid_from_block": first, "height": horizon.height},
        )
    return standing[0]
