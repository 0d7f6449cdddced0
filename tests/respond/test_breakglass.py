"""Break glass when nodes contradict each other and when earlier transactions stand in the outbox."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from actions.platform import ALL, ONE, OPERATOR, PROBE, REGISTRY, platform
from fakes.chain import FakeChain
from tocsin.actions.contract import Caller
from tocsin.actions.pause import ContractPause
from tocsin.connect.outbox_file import FileOutbox
from tocsin.connect.ports import (
    ChainSender,
    Execution,
    Horizon,
    Included,
    Invocation,
    Manifest,
    Offered,
    OutboxEntry,
    OutboxStatus,
    QuorumReading,
    Sent,
    Signer,
    Unsealed,
)
from tocsin.domain.amounts import Gas
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.clock import ManualClock
from tocsin.domain.errors import Refused
from tocsin.domain.hashes import ScriptHash
from tocsin.respond.breakglass import BreakGlass, Ending
from tocsin.respond.pause_ways import PauseWays

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
FAULT = Execution(False, "not an operator", (), Gas(0))
YES = Execution(True, None, (True,), Gas(0))

type Lie = Callable[[Sequence[Invocation]], Execution | None]


@dataclass
class Network:
    """The chain as endpoints tell of it: `lie` is what the best endpoint says, where it does not say the truth."""

    chain: FakeChain
    outbox: FileOutbox
    lie: Lie = field(default=lambda _: None)

    async def height(self) -> int:
        return await self.chain.height()

    async def manifest(self, contract: ScriptHash) -> Manifest:
        return await self.chain.manifest(contract)

    async def test_invoke(self, calls: Sequence[Invocation], signers: Sequence[Signer] = ()) -> Execution:
        return self.lie(calls) or await self.chain.test_invoke(calls, signers)

    async def quorum_invoke(
        self, calls: Sequence[Invocation], signers: Sequence[Signer] = (), *, at_least: int
    ) -> QuorumReading:
        return await self.chain.quorum_invoke(calls, signers, at_least=at_least)

    async def account(self, purpose: str) -> ScriptHash:
        return await self.chain.account(purpose)

    async def recall(self, key: str) -> Sent | None:
        return await self.chain.recall(key)

    async def submit(self, key: str, calls: Sequence[Invocation], *, purpose: str) -> Sent:
        """As the real sender: what stands in the outbox is offered, and the next block takes it."""
        sent = await self.chain.submit(key, calls, purpose=purpose)
        await self.outbox.put(OutboxEntry(key, sent.tx, b"signed", sent.valid_until_block, purpose, NOW))
        self.chain.mine()
        return sent

    async def wait(self, sent: Sent) -> Included:
        included = await self.chain.wait(sent)
        await self.outbox.settle(sent.key, OutboxStatus.INCLUDED, included.height)
        return included


class NoPresigner:
    """Nothing here is signed in advance."""

    async def horizon(self) -> Horizon:
        raise NotImplementedError

    async def seal(self, *arguments: object, **more: object) -> OutboxEntry:
        raise NotImplementedError

    def unseal(self, raw: bytes, calls: Sequence[Invocation]) -> Unsealed:
        raise NotImplementedError

    async def offer(self, raw: bytes) -> Offered:
        raise NotImplementedError


@dataclass
class Scene:
    network: Network
    glass: BreakGlass
    resume: Callable[[], None]
    said: list[str]

    @property
    def chain(self) -> FakeChain:
        return self.network.chain

    async def keys(self) -> Sequence[str]:
        return [page.entry.key for page in await self.network.outbox.pages()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    small = platform()
    network, said = Network(small.chain, FileOutbox(tmp_path / "outbox", {"run": "this", "by": "alice"})), list[str]()

    def action(sender: ChainSender) -> ContractPause:
        return ContractPause(Caller(network, sender, "pause"), (ALL, ONE), (PROBE,))

    glass = BreakGlass(
        PauseWays((ALL,), (ONE,), ("shop",)),
        action,
        network,
        network,
        NoPresigner(),
        network.outbox,
        ManualClock(NOW),
        "this",
        said.append,
    )
    return Scene(network, glass, small.resume, said)


def rehearsal_faults(calls: Sequence[Invocation]) -> Execution | None:
    return FAULT if calls[0].method == "pauseAll" else None


def says_paused(calls: Sequence[Invocation]) -> Execution | None:
    return YES if [call.method for call in calls] == ["isPaused"] else None


async def test_one_endpoint_that_faults_does_not_stop_a_pause_that_a_quorum_would_run(scene: Scene) -> None:
    scene.network.lie = rehearsal_faults
    outcome = await scene.glass.pause(PauseTarget(), "theft")
    assert outcome.ending is Ending.PAUSED
    assert "not an operator" in outcome.doubts[0]


async def test_where_no_quorum_contradicts_the_fault_nothing_is_sent(scene: Scene) -> None:
    scene.network.lie = rehearsal_faults
    scene.chain.answering = 1
    with pytest.raises(Refused) as refused:
        await scene.glass.pause(PauseTarget(), "theft")
    assert "--force" in refused.value.next_step
    assert await scene.keys() == []


async def test_one_endpoint_that_says_it_is_paused_already_does_not_stop_it(scene: Scene) -> None:
    scene.network.lie = says_paused
    outcome = await scene.glass.pause(PauseTarget(), "theft")
    assert outcome.ending is Ending.PAUSED
    assert outcome.tx is not None, "only a quorum is believed that there is nothing to send"


async def test_paused_on_the_word_of_too_few_where_a_second_pause_is_refused_is_unconfirmed(scene: Scene) -> None:
    await scene.glass.pause(PauseTarget(), "theft")
    scene.chain.fault(REGISTRY, "pauseAll", "paused already")
    scene.chain.answering = 1
    outcome = await scene.glass.pause(PauseTarget(), "theft")
    assert outcome.ending is Ending.UNCONFIRMED
    assert outcome.tx is None
    assert "a second pause is refused; nothing was sent" in outcome.summary


async def test_sent_without_a_quorum_is_unconfirmed_and_the_next_run_finds_it(scene: Scene) -> None:
    scene.chain.answering = 1
    first = await scene.glass.pause(PauseTarget(), "theft")
    assert first.ending is Ending.UNCONFIRMED
    scene.chain.answering = 3
    second = await scene.glass.pause(PauseTarget(), "theft")
    assert second.ending is Ending.ALREADY_PAUSED
    assert await scene.keys() == ["pause/all/1"]


async def test_a_spent_transaction_whose_pause_was_lifted_gives_way_to_a_new_one(scene: Scene) -> None:
    scene.chain.answering = 1
    first = await scene.glass.pause(PauseTarget(), "theft")
    scene.chain.answering = 3
    scene.resume()
    second = await scene.glass.pause(PauseTarget(), "theft again")
    assert second.ending is Ending.PAUSED
    assert second.tx != first.tx
    assert await scene.keys() == ["pause/all/1", "pause/all/2"]


async def test_an_expired_transaction_gives_way_to_a_new_one(scene: Scene) -> None:
    height = await scene.chain.height()
    first = scene.chain.transact(OPERATOR)
    await scene.network.outbox.put(OutboxEntry("pause/all/1", first, b"signed", height + 1, "pause", NOW))
    scene.chain.mine(include=False)
    outcome = await scene.glass.pause(PauseTarget(), "theft")
    assert outcome.ending is Ending.PAUSED
    assert await scene.keys() == ["pause/all/1", "pause/all/2"]


async def test_what_came_of_it_stands_in_the_outbox(scene: Scene) -> None:
    outcome = await scene.glass.pause(PauseTarget(), "theft")
    (page,) = await scene.network.outbox.pages()
    assert page.remarks["result"]["outcome"] == "paused"
    assert page.remarks["result"]["tx"] == outcome.tx
    assert page.remarks["result"]["at"] == NOW.isoformat()
