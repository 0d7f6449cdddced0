"""The chain in memory is what the ports ask for, and forgets what was only tried."""

import pytest

from actions.platform import OPERATOR, REGISTRY, STRANGER, platform
from tocsin.connect.ports import Argument, BlockFeed, ChainReader, ChainSender, Invocation, ParameterType, Signer
from tocsin.domain.errors import Failed, Refused

PAUSE = Invocation(REGISTRY, "pauseAll", (Argument(ParameterType.STRING, "drained"),))
IS_PAUSED = Invocation(REGISTRY, "isPaused")


async def test_the_fake_is_reader_sender_and_feed() -> None:
    chain = platform().chain
    reader: ChainReader = chain
    sender: ChainSender = chain
    feed: BlockFeed = chain
    assert (reader, sender, feed) == (chain, chain, chain)


async def test_a_test_invocation_sees_its_own_effect_and_leaves_none() -> None:
    chain = platform().chain
    execution = await chain.test_invoke([PAUSE, IS_PAUSED], [Signer(OPERATOR)])
    assert execution.stack == (True, 1)
    assert (await chain.test_invoke([IS_PAUSED])).stack == (0,)


async def test_a_transaction_takes_effect_when_a_block_takes_it() -> None:
    chain = platform().chain
    sent = await chain.submit("key", [PAUSE], purpose="pause")
    assert (await chain.test_invoke([IS_PAUSED])).stack == (0,)
    assert [each.tx for each in chain.mine().transactions] == [sent.tx]
    assert (await chain.test_invoke([IS_PAUSED])).stack == (1,)


async def test_a_faulted_transaction_is_in_the_block_and_changes_nothing() -> None:
    chain = platform().chain
    chain.transact(STRANGER, PAUSE)
    (transaction,) = chain.mine().transactions
    assert not transaction.halted
    assert (await chain.test_invoke([IS_PAUSED])).stack == (0,)


async def test_of_a_transaction_and_its_cancellation_one_takes_effect() -> None:
    chain = platform().chain
    sent = await chain.submit("key", [PAUSE], purpose="pause")
    cancellation = await chain.cancel("key")
    assert await chain.cancel("key") == cancellation
    chain.mine()
    assert (await chain.wait(cancellation)).tx == cancellation.tx
    with pytest.raises(Failed, match="took its place"):
        await chain.wait(sent)
    assert (await chain.test_invoke([IS_PAUSED])).stack == (0,)


async def test_what_is_in_a_block_or_was_never_sent_is_not_cancelled() -> None:
    chain = platform().chain
    await chain.submit("key", [PAUSE], purpose="pause")
    chain.mine()
    with pytest.raises(Failed):
        await chain.cancel("key")
    with pytest.raises(Refused):
        await chain.cancel("other key")
