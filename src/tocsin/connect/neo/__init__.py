"""The Neo N3 chain, climbed as a ladder: JSON-RPC client, nodes and quorum, reader, sender with outbox, waiter, feed."""
