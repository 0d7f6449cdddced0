"""Makes a private chain busy quickly: thousands of transactions of several GAS transfers each, sent in batches."""

import asyncio
import base64
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import httpx2
from neo3.core.types import UInt160

from miniapp_platform.chain import Authority, Chain, Fees, SignedTransaction
from miniapp_platform.platform import Platform
from miniapp_platform.script import Call, transfer_gas
from tocsin.domain.hashes import ScriptHash

BATCH = 100
FUNDS = 100_000 * 10**8
"""GAS for the payer and the user; a transfer to a new account costs about a tenth of one."""
MARGIN_PERCENT = 20
"""Added to the fees of the one transaction that is rehearsed: each recipient is new, and storage may cost more."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Transactions that the chain holds, in blocks `first` to `last`, with transfers of `payer`."""

    payer: ScriptHash
    transactions: tuple[str, ...]
    first: int
    last: int


async def make_traffic(
    platform: Platform, client: Chain, *, transactions: int, transfers: int, of_others: int = 0
) -> Traffic:
    """Sends so many transactions and waits for the last: each has so many transfers of the payer, and of a user.

    Every recipient is new.
    """
    payer, user = platform.accounts.refill, platform.accounts.payers[0]
    authorities = [Authority(payer), *([Authority(user)] if of_others else [])]

    def calls() -> Sequence[Call]:
        givers = [payer] * transfers + [user] * of_others
        return [transfer_gas(giver.script_hash, UInt160(secrets.token_bytes(20)), 1) for giver in givers]

    committee = platform.accounts.committee
    funds = [transfer_gas(committee.script_hash, account.script_hash, FUNDS) for account in (payer, user)]
    await client.execute(funds, [Authority(committee)])
    rehearsed = await client.fees(calls(), authorities)
    fees = Fees(*(fee * (100 + MARGIN_PERCENT) // 100 for fee in (rehearsed.system, rehearsed.network)))
    first = await client.height() + 1
    signed: list[SignedTransaction] = []
    async with httpx2.AsyncClient(timeout=30.0, trust_env=False) as http:
        while len(signed) < transactions:
            batch = [await client.build(calls(), authorities, fees) for _ in range(BATCH)]
            await _send(http, platform.validator.http_url, batch)
            signed += batch
    for transaction in signed[-BATCH:]:
        await client.wait(transaction)
    return Traffic(
        ScriptHash(f"0x{payer.script_hash}"),
        tuple(transaction.hash for transaction in signed),
        first,
        await client.height(),
    )


async def read_logs(url: str, transactions: Sequence[str], *, at_once: int) -> int:
    """The floor of everything that reads the past: bare batches of `getapplicationlog`; bytes, not even parsed."""
    batches = itertools.batched(transactions, BATCH, strict=False)
    size = 0

    async def reader(http: httpx2.AsyncClient) -> None:
        nonlocal size
        for batch in batches:
            reply = await http.post(url, json=_requests("getapplicationlog", batch))
            size += len(reply.content)

    async with httpx2.AsyncClient(timeout=30.0, trust_env=False) as http:
        await asyncio.gather(*(reader(http) for _ in range(at_once)))
    return size


async def _send(http: httpx2.AsyncClient, url: str, batch: Sequence[SignedTransaction]) -> None:
    raw = [base64.b64encode(transaction.raw).decode() for transaction in batch]
    replies = (await http.post(url, json=_requests("sendrawtransaction", raw))).json()
    refused = [reply for reply in cast("list[dict[str, object]]", replies) if "error" in reply]
    if refused:
        raise RuntimeError(f"the node refused {len(refused)} transactions: {refused[0]['error']}")


def _requests(method: str, arguments: Sequence[str]) -> list[dict[str, object]]:
    return [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": [argument]}
        for number, argument in enumerate(arguments)
    ]
