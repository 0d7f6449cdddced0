"""A platform small enough to read at a glance: a registry that pauses, and a shop that asks it before it sells."""

from dataclasses import dataclass

from fakes.chain import FakeChain, FakeContract, Fault, Frame, hash_bytes
from tocsin.actions.contract import Caller
from tocsin.actions.pause import CallTemplate, ContractPause, EffectProbe, PauseBinding
from tocsin.connect.ports import Block, Signer, StackValue
from tocsin.domain.hashes import script_hash

REGISTRY = script_hash("11" * 20)
SHOP = script_hash("22" * 20)
OPERATOR = script_hash("aa" * 20)
STRANGER = script_hash("bb" * 20)
USER = script_hash("cc" * 20)


def _pause(frame: Frame, scope: StackValue) -> StackValue:
    if hash_bytes(OPERATOR) not in frame.state.values() or OPERATOR not in frame.witnesses:
        raise Fault("not an operator")
    frame.state[scope] = 1
    return True


def _is_paused(frame: Frame) -> StackValue:
    # A key that is missing reads as Integer 0, as with compiled contracts.
    return frame.state.get(b"*", 0) or (frame.state.get(frame.arguments[0], 0) if frame.arguments else 0)


def _order(frame: Frame) -> StackValue:
    registry = frame.world[REGISTRY]
    if registry.get(b"*") or registry.get(b"shop"):
        raise Fault("the platform is paused")
    if USER not in frame.witnesses:
        raise Fault("no witness of the user")
    frame.state[b"orders"] = 1
    return True


def _set_price(frame: Frame) -> StackValue:
    if OPERATOR not in frame.witnesses:
        return False
    frame.state[b"price"] = frame.arguments[0]
    return True


ALL = PauseBinding("all", CallTemplate(REGISTRY, "pauseAll", ("{reason}",)), CallTemplate(REGISTRY, "isPaused"), "all")
ONE = PauseBinding(
    "one app",
    CallTemplate(REGISTRY, "setPaused", ("true", "{app}")),
    CallTemplate(REGISTRY, "isPaused", ("{app}",)),
    "the app {app}",
)
PROBE = EffectProbe(
    "an order in the shop",
    CallTemplate(SHOP, "order", (USER, "3")),
    Signer(USER, "custom_contracts", (SHOP,)),
    "paused",
    ("all", "one app"),
)


@dataclass(frozen=True)
class Platform:
    """The chain with both contracts on it, and one who may pause."""

    chain: FakeChain

    def caller(self, purpose: str = "pause") -> Caller:
        return Caller(self.chain, self.chain, purpose)

    def pause(self, *probes: EffectProbe, bindings: tuple[PauseBinding, ...] = (ALL, ONE)) -> ContractPause:
        return ContractPause(self.caller(), bindings, probes or (PROBE,))

    def revoke_operator(self) -> None:
        del self.chain.state(REGISTRY)[b"operator"]

    def resume(self) -> None:
        self.chain.state(REGISTRY).pop(b"*", None)

    def pass_blocks(self, count: int) -> Block:
        """Blocks without any waiting transaction in them."""
        return [self.chain.mine(include=False) for _ in range(count)][-1]


def platform() -> Platform:
    accounts = {"pause": OPERATOR, "invoke": OPERATOR, "stranger": STRANGER}
    chain = FakeChain(accounts)
    methods = {
        "pauseAll(reason: String) -> Boolean": lambda frame: _pause(frame, b"*"),
        "pauseAll() -> Boolean": lambda frame: _pause(frame, b"*"),
        "setPaused(paused: Boolean, app_id: String) -> Boolean": lambda frame: _pause(frame, frame.arguments[1]),
        "isPaused() -> Boolean": _is_paused,
        "isPaused(app_id: String) -> Boolean": _is_paused,
        "_deploy(data: Any, update: Boolean)": lambda frame: None,
    }
    chain.deploy(FakeContract(REGISTRY, "PauseRegistry", methods, {b"operator": hash_bytes(OPERATOR)}))
    chain.deploy(
        FakeContract(
            SHOP,
            "Shop",
            {
                "order(user: Hash160, amount: Integer) -> Boolean": _order,
                "setPrice(price: Integer) -> Boolean": _set_price,
                "motd() -> String": lambda frame: b"fresh bread",
            },
        )
    )
    return Platform(chain)
