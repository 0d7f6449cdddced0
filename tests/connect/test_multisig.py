"""Partly signed transactions: with neo-go both ways, on a real chain; and files that were changed on their way."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect.cosigners import NeoGo, admin_of, key_of, read, transfer, unsigned, written
from fakes.endpoint import proxy, rejecting
from fakes.outbox import MemoryOutbox
from miniapp_platform.accounts import Accounts, MultiSigAccount
from miniapp_platform.chain import Authority
from miniapp_platform.script import transfer_gas
from private_chain import PrivateChain
from tocsin.connect.neo.exchange import PartlySigned, read_exchange
from tocsin.connect.neo.multisig import Verification, multisig_of, single_of, verification_of
from tocsin.connect.neo.proposals import Proposals, open_proposals
from tocsin.connect.ports import OutboxStatus
from tocsin.domain.amounts import Gas
from tocsin.domain.clock import SystemClock
from tocsin.domain.errors import ConfigurationInvalid, Failed, OutcomeUnknown, Refused, TocsinError
from tocsin.domain.hashes import ScriptHash, script_hash

AMOUNT = Gas(12_345)
HOUR = timedelta(hours=1)
MAGIC = 7
GUARDIANS = Accounts.derive(b"a seed of no chain").guardians
ADMIN = multisig_of(2, [bytes.fromhex(each.public_key_hex) for each in GUARDIANS])
SCRIPT = bytes.fromhex("10c01f0c016d0c14") + bytes(20) + bytes.fromhex("41627d5b52")


@pytest.fixture
async def admin(private_chain: PrivateChain) -> Verification:
    """The guardians' account, with GAS."""
    account = private_chain.accounts.admin
    async with private_chain.client() as client:
        if await client.gas_of(account.script_hash) < 10**9:
            refill = private_chain.accounts.refill
            await client.execute(
                [transfer_gas(refill.script_hash, account.script_hash, 20 * 10**8)], [Authority(refill)]
            )
    await private_chain.in_step()
    return admin_of(private_chain)


@pytest.fixture
async def proposals(private_chain: PrivateChain) -> AsyncGenerator[Proposals]:
    async with open_proposals(private_chain.config(), SystemClock()) as opened:
        yield opened


@pytest.fixture
def neo_go(private_chain: PrivateChain, tmp_path: Path) -> NeoGo:
    password = private_chain.accounts.wallet_password
    return NeoGo(tmp_path, private_chain.wallets, password, private_chain.validator.http_url)


_payees = itertools.count(1)


def a_payee() -> ScriptHash:
    """An account that nobody has paid yet."""
    return script_hash(f"0x{next(_payees):040x}")


async def test_neo_go_adds_its_signature_to_ours_and_sends(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals, neo_go: NeoGo, tmp_path: Path
) -> None:
    first, second, _ = private_chain.accounts.guardians
    payee = a_payee()
    partly = await proposals.draft(transfer(admin.account, payee, AMOUNT), admin, HOUR)
    file = written(partly.signed(key_of(first)), tmp_path / "tx.json")
    address = private_chain.accounts.admin.address
    await asyncio.to_thread(neo_go.sign, second, address, file, send=True)
    assert await private_chain.gas_of(payee) == AMOUNT.fractions


async def test_we_add_our_signature_to_neo_gos_and_send(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals, neo_go: NeoGo, tmp_path: Path
) -> None:
    first, _, third = private_chain.accounts.guardians
    file, refill = tmp_path / "tx.json", private_chain.accounts.refill
    before = await private_chain.gas_of(ScriptHash(refill.hash))
    address = private_chain.accounts.admin.address
    await asyncio.to_thread(neo_go.transfer, first, address, refill.address, AMOUNT, file)
    partly = read(file, private_chain.magic)
    assert partly.signatures[admin.account].missing == 1
    included = await proposals.send(partly.signed(key_of(third)), MemoryOutbox())
    assert included.execution.halted
    assert included.quorum.confirmed >= 2
    assert await private_chain.gas_of(ScriptHash(refill.hash)) == before + AMOUNT.fractions


async def test_neo_go_reads_what_it_signed_after_us_and_we_send_it(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals, neo_go: NeoGo, tmp_path: Path
) -> None:
    first, second, _ = private_chain.accounts.guardians
    payee = a_payee()
    partly = await proposals.draft(transfer(admin.account, payee, AMOUNT), admin, HOUR)
    file = written(partly.signed(key_of(second)), tmp_path / "tx.json")
    address = private_chain.accounts.admin.address
    await asyncio.to_thread(neo_go.sign, first, address, file)
    signed = read(file, private_chain.magic)
    # What neo-go writes when it is complete is what we would write, in the same order of the signatures.
    assert signed.as_json() == json.loads(file.read_text(encoding="utf-8"))
    await proposals.send(signed, MemoryOutbox())
    assert await private_chain.gas_of(payee) == AMOUNT.fractions


async def test_neo_go_sends_what_we_completed(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals, neo_go: NeoGo, tmp_path: Path
) -> None:
    _, second, third = private_chain.accounts.guardians
    payee = a_payee()
    partly = await proposals.draft(transfer(admin.account, payee, AMOUNT), admin, HOUR)
    # Signed in the reverse order of the keys, on files of their own that are put together afterwards.
    together = partly.signed(key_of(third)).combined(partly.signed(key_of(second)))
    await asyncio.to_thread(neo_go.send, written(together, tmp_path / "tx.json"))
    assert await private_chain.gas_of(payee) == AMOUNT.fractions


async def test_whoever_sends_it_again_offers_the_bytes_that_stand(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals
) -> None:
    first, second, third = (key_of(each) for each in private_chain.accounts.guardians)
    outbox, payee = MemoryOutbox(), a_payee()
    partly = await proposals.draft(transfer(admin.account, payee, AMOUNT), admin, HOUR)
    one, another = partly.signed(first).signed(second), partly.signed(third).signed(first)
    included = await proposals.send(one, outbox)
    # Included already, so that a rehearsal or the expiry of today would say nothing about it.
    assert await proposals.send(another, outbox) == included
    assert await proposals.send(another, MemoryOutbox()) == included
    entry = await outbox.get(f"tx/{partly.payload.tx}")
    assert entry is not None
    assert (entry.raw, entry.status) == (one.complete_bytes(), OutboxStatus.INCLUDED)
    assert await private_chain.gas_of(payee) == AMOUNT.fractions


async def test_what_would_fault_or_answer_false_or_cost_too_much_is_not_proposed(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals
) -> None:
    payee = a_payee()
    too_much = transfer(admin.account, payee, Gas(10**15))
    poor = multisig_of(1, [bytes.fromhex(private_chain.accounts.attacker.public_key_hex)])
    fees = replace(private_chain.config().fees, system_max=Gas(1000))
    cases = [
        (too_much, admin, "call-answers-false"),
        (replace(too_much, method="nothing"), admin, "rehearsal-faulted"),
        (transfer(poor.account, payee, Gas(0)), poor, "fee-not-covered"),
    ]
    for call, account, code in cases:
        with pytest.raises(Refused) as refused:
            await proposals.draft(call, account, HOUR)
        assert refused.value.code == code
    async with open_proposals(private_chain.config(fees=fees), SystemClock()) as frugal:
        with pytest.raises(Refused) as refused:
            await frugal.draft(transfer(admin.account, payee, AMOUNT), admin, HOUR)
    assert refused.value.code == "fee-over-limit"


async def test_an_expired_transaction_is_not_sent(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals
) -> None:
    first, second, _ = (key_of(each) for each in private_chain.accounts.guardians)
    outbox, payee = MemoryOutbox(), a_payee()
    partly = await proposals.draft(transfer(admin.account, payee, AMOUNT), admin, timedelta(milliseconds=1))
    complete = partly.signed(first).signed(second)
    async with private_chain.client() as client:
        await client.wait_height(partly.payload.valid_until_block, 10)
    await private_chain.in_step()
    with pytest.raises(Refused) as refused:
        await proposals.send(complete, outbox)
    assert refused.value.code == "already-expired"
    assert await outbox.get(f"tx/{partly.payload.tx}") is None
    assert await private_chain.gas_of(payee) == 0


async def test_without_a_quorum_of_endpoints_nothing_is_sent(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals
) -> None:
    first, second, _ = (key_of(each) for each in private_chain.accounts.guardians)
    outbox = MemoryOutbox()
    partly = await proposals.draft(transfer(admin.account, a_payee(), AMOUNT), admin, HOUR)
    endpoints = tuple(
        replace(each, url="http://127.0.0.1:9") if number else each
        for number, each in enumerate(private_chain.endpoints())
    )
    async with open_proposals(private_chain.config(endpoints=endpoints), SystemClock()) as lonely:
        with pytest.raises(TocsinError) as error:
            await lonely.send(partly.signed(first).signed(second), outbox)
    assert error.value.code in ("no-endpoint-answered", "no-quorum")
    assert await outbox.get(f"tx/{partly.payload.tx}") is None


async def test_an_inclusion_that_no_quorum_confirms_is_unconfirmed(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals
) -> None:
    first, second, _ = (key_of(each) for each in private_chain.accounts.guardians)
    partly = await proposals.draft(transfer(admin.account, a_payee(), AMOUNT), admin, HOUR)
    complete, outbox, key = partly.signed(first).signed(second), MemoryOutbox(), f"tx/{partly.payload.tx}"
    included = await proposals.send(complete, outbox)
    entry = await outbox.get(key)
    assert entry is not None
    # As if the sender had died before it heard of the inclusion, and came back when two providers were gone.
    interrupted = MemoryOutbox()
    await interrupted.put(replace(entry, status=OutboxStatus.STORED, height=None))
    config = private_chain.config()
    config = replace(config, times=replace(config.times, confirm_s=0.3))
    async with private_chain.stopped(*private_chain.followers), open_proposals(config, SystemClock()) as lonely:
        with pytest.raises(OutcomeUnknown) as unknown:
            await lonely.send(complete, interrupted)
    assert (unknown.value.code, unknown.value.data["confirmed"]) == ("unconfirmed", 1)
    assert await proposals.send(complete, interrupted) == included


async def test_what_every_endpoint_refused_is_waited_for_and_never_offered_again(
    private_chain: PrivateChain, admin: Verification, proposals: Proposals
) -> None:
    first, second, _ = (key_of(each) for each in private_chain.accounts.guardians)
    outbox, payee = MemoryOutbox(), a_payee()
    partly = await proposals.draft(transfer(admin.account, payee, AMOUNT), admin, timedelta(seconds=1))
    complete = partly.signed(first).signed(second)
    refusing = rejecting("sendrawtransaction", -511, "insufficient funds")
    withheld = frozenset({"sendrawtransaction"})
    a, b, _ = private_chain.endpoints()
    async with proxy(a.url, refusing, withheld=withheld) as one, proxy(b.url, refusing, withheld=withheld) as two:
        endpoints = (replace(a, url=one.url, ws=None), replace(b, url=two.url, ws=None))
        async with open_proposals(private_chain.config(endpoints=endpoints), SystemClock()) as refused:
            with pytest.raises(OutcomeUnknown) as unknown:
                await refused.send(complete, outbox)
            with pytest.raises(Failed) as failed:
                await refused.send(complete, outbox)
        assert [each.seen.count("sendrawtransaction") for each in (one, two)] == [1, 1]
    assert (unknown.value.code, failed.value.code) == ("transaction-refused", "expired")
    entry = await outbox.get(f"tx/{partly.payload.tx}")
    assert entry is not None
    assert entry.status is OutboxStatus.REFUSED
    assert await private_chain.gas_of(payee) == 0


def test_accounts_are_those_of_the_protocols_own_tools() -> None:
    for needed in (1, 2, 3):
        oracle = MultiSigAccount("admin", needed, GUARDIANS)
        ours = multisig_of(needed, [bytes.fromhex(each.public_key_hex) for each in GUARDIANS])
        assert ours.script == oracle.verification_script
        assert ours.account == oracle.hash
        assert verification_of(ours.script) == ours
    single = single_of(bytes.fromhex(GUARDIANS[0].public_key_hex))
    assert single.account == GUARDIANS[0].hash
    assert verification_of(single.script) == single


def test_accounts_with_many_keys_are_read_back() -> None:
    names = [f"{number}".encode() for number in range(50)]
    keys = [bytes.fromhex(Accounts.derive(name).operator.public_key_hex) for name in names]
    for needed in (16, 17, 50):
        account = multisig_of(needed, keys)
        assert verification_of(account.script) == account


@pytest.mark.parametrize(
    ("needed", "keys"),
    [
        (0, ADMIN.public_keys),
        (4, ADMIN.public_keys),
        (1, ()),
        (1, ADMIN.public_keys * 2),
        (1, (b"\x02" + b"\xff" * 32,)),
        (1, (b"\x02",)),
    ],
)
def test_impossible_accounts_are_refused(needed: int, keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ConfigurationInvalid):
        multisig_of(needed, keys)


@pytest.mark.parametrize("order", list(itertools.permutations(GUARDIANS, 2)))
def test_any_two_members_complete_it_in_any_order(order: tuple[Any, Any]) -> None:
    partly = unsigned(ADMIN, SCRIPT)
    for guardian in order:
        with pytest.raises(Refused) as refused:
            partly.complete_bytes()
        assert refused.value.code == "incomplete"
        partly = partly.signed(key_of(guardian))
    raw = partly.complete_bytes()
    in_key_order = sorted(order, key=lambda each: each.public_key)
    signatures = partly.signatures[ADMIN.account].by_key
    pushed = b"".join(b"\x0c\x40" + signatures[bytes.fromhex(each.public_key_hex)] for each in in_key_order)
    assert raw.startswith(partly.payload.raw)
    assert pushed in raw
    assert read_exchange(json.dumps(partly.as_json()).encode(), MAGIC) == partly


def test_a_stranger_a_second_signature_and_one_too_many_are_refused() -> None:
    first, second, third = (key_of(each) for each in GUARDIANS)
    stranger = key_of(Accounts.derive(b"another seed").operator)
    partly = unsigned(ADMIN, SCRIPT)
    once = partly.signed(first)
    cases = [(once, stranger, "not-a-member"), (once, first, "already-signed")]
    cases.append((once.signed(second), third, "already-complete"))
    for held, key, code in cases:
        with pytest.raises(Refused) as refused:
            held.signed(key)
        assert refused.value.code == code
        assert refused.value.next_step


def test_signatures_of_different_transactions_are_not_put_together() -> None:
    first, second, _ = (key_of(each) for each in GUARDIANS)
    one, other = unsigned(ADMIN, SCRIPT).signed(first), unsigned(ADMIN, SCRIPT + b"\x45").signed(second)
    with pytest.raises(Refused) as refused:
        one.combined(other)
    assert refused.value.code == "different-transactions"


def test_a_single_keys_signature_is_found_where_neo_go_puts_it() -> None:
    guardian = GUARDIANS[0]
    single = single_of(bytes.fromhex(guardian.public_key_hex))
    partly = unsigned(single, SCRIPT).signed(key_of(guardian))
    document: Any = partly.as_json()
    document["items"][single.account]["signatures"] = {}
    assert read_exchange(json.dumps(document).encode(), MAGIC) == partly


type Change = Callable[[dict[str, Any]], object]


def _item(document: Mapping[str, Any]) -> dict[str, Any]:
    return document["items"][ADMIN.account]


def _foreign_signature(document: dict[str, Any]) -> None:
    other: Any = unsigned(ADMIN, SCRIPT + b"\x45").signed(key_of(GUARDIANS[0])).as_json()
    _item(document)["signatures"] = _item(other)["signatures"]


def _foreign_key(document: dict[str, Any]) -> None:
    signatures = _item(document)["signatures"]
    signatures[Accounts.derive(b"another seed").operator.public_key_hex] = next(iter(signatures.values()))


def _other_bytes(document: dict[str, Any]) -> None:
    other: Any = unsigned(ADMIN, SCRIPT + b"\x45").as_json()
    document["data"] = other["data"]


def _other_bytes_and_hash(document: dict[str, Any]) -> None:
    _other_bytes(document)
    other: Any = unsigned(ADMIN, SCRIPT + b"\x45").as_json()
    document["hash"] = other["hash"]


def _other_script(document: dict[str, Any]) -> None:
    weaker: Any = unsigned(multisig_of(1, ADMIN.public_keys), SCRIPT).as_json()
    _item(document)["script"] = next(iter(weaker["items"].values()))["script"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: d.update(network=8), "foreign-network"),
        (lambda d: d.update(hash="0x" + "22" * 32), "hash-mismatch"),
        (_other_bytes, "hash-mismatch"),
        (_other_bytes_and_hash, "signature-invalid"),
        (lambda d: d.update(data=d["data"][:40]), "transaction-unreadable"),
        (lambda d: d.update(data="?" + d["data"]), "not-base64"),
        (_other_script, "script-mismatch"),
        (lambda d: _item(d).update(script=None), "script-unknown"),
        (lambda d: _item(d).update(script="EQ=="), "script-unknown"),
        (lambda d: d["items"].update({"0x" + "33" * 20: _item(d)}), "not-a-signer"),
        (_foreign_signature, "signature-invalid"),
        (_foreign_key, "signature-of-stranger"),
        (lambda d: _item(d)["signatures"].update({next(iter(_item(d)["signatures"])): "AA=="}), "signature-invalid"),
        (lambda d: d.update(type="Neo.Network.P2P.Payloads.Block"), "not-a-transaction-file"),
        (lambda d: d.pop("data"), "not-a-transaction-file"),
        (lambda d: d.update(items=[]), "not-a-transaction-file"),
    ],
)
def test_a_changed_file_is_refused(change: Change, code: str) -> None:
    document = json.loads(json.dumps(unsigned(ADMIN, SCRIPT).signed(key_of(GUARDIANS[0])).as_json()))
    change(document)
    with pytest.raises(Refused) as refused:
        read_exchange(json.dumps(document).encode(), MAGIC)
    assert refused.value.code == code
    assert refused.value.next_step


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"[" * 100_000, b'{"type": 1, "type": 2}', b"1e999", b"NaN"])
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_exchange(content, MAGIC)
    assert refused.value.code == "not-a-transaction-file"


def test_the_other_fields_of_a_file_decide_nothing() -> None:
    partly = unsigned(ADMIN, SCRIPT).signed(key_of(GUARDIANS[0]))
    document: Any = json.loads(json.dumps(partly.as_json()))
    # Parameters filled with anything: neo-go would make the witness of them.
    _item(document)["parameters"] = [{"type": "Signature", "value": "AAAA"}] * 2
    document["comment"] = "harmless"
    read_back = read_exchange(json.dumps(document).encode(), MAGIC)
    assert read_back == partly
    assert read_back.as_json() == partly.as_json()


@given(st.data())
def test_a_file_with_any_byte_changed_is_the_same_or_refused(data: st.DataObject) -> None:
    partly = unsigned(ADMIN, SCRIPT).signed(key_of(GUARDIANS[0]))
    content = bytearray(json.dumps(partly.as_json()).encode())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    try:
        read_back: PartlySigned | None = read_exchange(bytes(content), MAGIC)
    except Refused:
        read_back = None
    if read_back is not None:
        assert read_back.payload == partly.payload
        assert (
            read_back.signatures.items() <= partly.signatures.items() or not read_back.signatures[ADMIN.account].by_key
        )
