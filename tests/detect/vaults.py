"""Contracts that hold GAS and pay it out, blocks of such payments, and rules that watch them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from fakes.chain import FakeChain, FakeContract, Fault, Frame, State
from tocsin.connect.ports import Argument, Block, Invocation, Notification, ParameterType, StackValue
from tocsin.detect.conditions import Condition
from tocsin.detect.outflow import VARIABLES, OutflowRule
from tocsin.domain.amounts import Gas
from tocsin.domain.hashes import ScriptHash, script_hash

VAULT = script_hash("11" * 20)
HUB = script_hash("22" * 20)
MALLORY = script_hash("dd" * 20)
OWNER = script_hash("ee" * 20)
NAMES: Mapping[ScriptHash, str] = {VAULT: "vault", HUB: "hub"}
WINDOW = timedelta(seconds=60)

type Payment = tuple[ScriptHash, ScriptHash, str]
"""From a contract, to an account, GAS."""


def _pay(frame: Frame) -> StackValue:
    recipient, amount = frame.arguments
    assert isinstance(amount, int)
    frame.pay(recipient, amount)
    return True


def _pretend(frame: Frame) -> StackValue:
    frame.notifications.append(Notification(frame.contract, "Transfer", (b"\x11" * 20, b"\xdd" * 20, 10**12)))
    return True


def _pay_then_fault(frame: Frame) -> StackValue:
    _pay(frame)
    raise Fault("it was only a try")


def vaults(vault: str = "1000", hub: str = "1000") -> FakeChain:
    """A chain with both contracts, each holding this much GAS."""
    chain = FakeChain()
    methods = {
        "pay(to: Hash160, amount: Integer) -> Boolean": _pay,
        "payThenFault(to: Hash160, amount: Integer) -> Boolean": _pay_then_fault,
        "pretend() -> Boolean": _pretend,
    }
    for contract, held in ((VAULT, vault), (HUB, hub)):
        no_state: State = {}
        chain.deploy(FakeContract(contract, NAMES[contract], methods, no_state))
        chain.endow(contract, Gas.parse(held))
    return chain


def paying(payment: Payment, method: str = "pay") -> Invocation:
    contract, recipient, amount = payment
    to = Argument(ParameterType.HASH160, recipient)
    return Invocation(contract, method, (to, Argument(ParameterType.INTEGER, Gas.parse(amount).fractions)))


def mine(chain: FakeChain, *payments: Payment, at: datetime | None = None) -> Block:
    """The next block, with a transaction for each payment."""
    for payment in payments:
        chain.transact(MALLORY, paying(payment))
    return chain.mine(at=at)


def rule(
    condition: str,
    *contracts: ScriptHash,
    name: str = "outflow",
    window: timedelta = WINDOW,
    known: frozenset[ScriptHash] = frozenset(),
) -> OutflowRule:
    return OutflowRule(
        name=name,
        emergency="smart-contract-exploit",
        symptom="Unusual fund movements",
        contracts={contract: NAMES[contract] for contract in contracts or (VAULT,)},
        window=window,
        known_recipients=known,
        condition=Condition(condition, VARIABLES, f"rule {name}"),
    )
