"""The Neo N3 chain, climbed as a ladder: JSON-RPC client, nodes, quorum, reader, sender, waiter, feed."""
