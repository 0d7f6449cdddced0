"""The Neo N3 side is what the ports ask for: the type checker reads this, and running it costs nothing."""

from fakes.outbox import MemoryOutbox
from tocsin.connect.neo.chain import NeoChain
from tocsin.connect.neo.network import Endpoint, NetworkConfig
from tocsin.connect.ports import BlockFeed, ChainReader, ChainSender


async def test_reader_sender_and_feed_are_the_ports() -> None:
    config = NetworkConfig(magic=1, quorum=1, endpoints=(Endpoint("only", "alder", "http://127.0.0.1:9"),))
    async with NeoChain(config, MemoryOutbox()) as chain:
        reader: ChainReader = chain.reader
        sender: ChainSender = chain.sender
        feed: BlockFeed = chain.feed
        assert (reader, sender, feed) == (chain.reader, chain.sender, chain.feed)
