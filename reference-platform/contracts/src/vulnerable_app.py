"""VulnerableApp: FOR DRILLS ONLY. It gives away all it holds to whoever asks ten times; never deploy it elsewhere.

It plays a prize game as a hurried team might have written it: sponsors fill a pot with GAS, players enter for
nothing, and once a block the player who entered last may claim a tenth of the pot. The flaw: claimPrize proves that
the caller is who it says, and forgets to ask whether that is the player who entered last. An attacker empties the pot
in exactly ten transactions in ten blocks: the share is fixed by the round's first claim, and its tenth claim takes
whatever is left. Everything that users do asks the PauseRegistry first, so a pause stops the theft.

Deployment data: [app id, registry].
"""

from typing import Any, cast

from boa3.sc.compiletime import NeoMetadata, public
from boa3.sc.contracts import GasToken, LedgerContract
from boa3.sc.runtime import calling_script_hash, check_witness, executing_script_hash
from boa3.sc.storage import get_int, get_str, get_uint160, put_int, put_str, put_uint160
from boa3.sc.types import UInt160
from boa3.sc.utils import CreateNewEvent

from identity import is_account, is_app_id
from registry_client import app_paused

APP_ID = b"\x01"
REGISTRY = b"\x02"
LAST_PLAYER = b"\x03"
SHARE = b"\x04"
CLAIMS = b"\x05"
LAST_CLAIM_HEIGHT = b"\x06"

CLAIMS_PER_ROUND = 10

on_pot_filled = CreateNewEvent([("sponsor", UInt160), ("amount", int)], "PotFilled")
on_player_entered = CreateNewEvent([("player", UInt160)], "PlayerEntered")
on_prize_paid = CreateNewEvent([("winner", UInt160), ("amount", int)], "PrizePaid")


def manifest_metadata() -> NeoMetadata:
    meta = NeoMetadata()
    meta.name = "VulnerableApp"
    meta.author = "Tocsin reference platform"
    meta.description = "FOR DRILLS ONLY: deliberately vulnerable, gives everything it holds to whoever asks ten times"
    meta.add_permission(contract="0xd2a4cff31913016155e38e474a2c06d08be276cf", methods=["transfer"])
    return meta


@public
def _deploy(data: Any, update: bool):
    if update:
        return
    settings = cast(list[Any], data)
    id = cast(str, settings[0])
    pause_registry = cast(UInt160, settings[1])
    assert is_app_id(id), "invalid app id"
    assert is_account(pause_registry), "invalid registry"
    put_str(APP_ID, id)
    put_uint160(REGISTRY, pause_registry)


@public(name="appId", safe=True)
def app_id() -> str:
    return get_str(APP_ID)


@public(safe=True)
def registry() -> UInt160:
    """The PauseRegistry that this app obeys."""
    return get_uint160(REGISTRY)


@public(safe=True)
def pot() -> int:
    """All GAS fractions that the app holds."""
    return GasToken.balanceOf(executing_script_hash)


@public(name="lastPlayer", safe=True)
def last_player() -> UInt160:
    """Who entered last, and should be the only one to claim; zero before anybody entered."""
    return get_uint160(LAST_PLAYER)


@public(name="isPaused", safe=True)
def is_paused() -> bool:
    return app_paused(registry(), app_id())


@public(name="onNEP17Payment")
def on_nep17_payment(sponsor: UInt160 | None, amount: int, data: Any):
    """Add a sponsor's GAS to the pot."""
    assert calling_script_hash == GasToken.hash, "only GAS"
    require_not_paused()
    on_pot_filled(cast(UInt160, sponsor), amount)


@public
def enter(player: UInt160) -> bool:
    """Enter the game, for nothing. The ordinary user's call: it needs only the player's witness."""
    require_not_paused()
    assert check_witness(player), "not authorised"
    put_uint160(LAST_PLAYER, player)
    on_player_entered(player)
    return True


@public(name="claimPrize")
def claim_prize(winner: UInt160) -> bool:
    """Pay the prize of this block to the winner."""
    require_not_paused()
    assert check_witness(winner), "not authorised"
    # THE FLAW: here `winner == last_player()` should be asserted.
    height = LedgerContract.get_current_index() + 1
    assert height > get_int(LAST_CLAIM_HEIGHT), "one prize a block"
    put_int(LAST_CLAIM_HEIGHT, height)

    claims = get_int(CLAIMS)
    held = pot()
    if claims == 0:
        put_int(SHARE, held // CLAIMS_PER_ROUND)
    prize = get_int(SHARE)
    claims += 1
    if claims == CLAIMS_PER_ROUND:
        prize = held
        claims = 0
    assert prize > 0, "pot too small"
    put_int(CLAIMS, claims)
    assert GasToken.transfer(executing_script_hash, winner, prize, None), "transfer failed"
    on_prize_paid(winner, prize)
    return True


def require_not_paused():
    assert not is_paused(), "paused by registry"
