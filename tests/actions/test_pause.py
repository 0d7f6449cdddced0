"""`contract.pause`: nothing is sent that would not pause, and nothing counts as paused that is not seen to be."""

from dataclasses import replace

import pytest

from actions.platform import OPERATOR, PROBE, REGISTRY, SHOP, USER, Platform, platform
from fakes.chain import VALID_BLOCKS
from tocsin.actions.pause import CallTemplate, PauseBinding, PauseInput
from tocsin.actions.protocol import Receipt
from tocsin.domain.actions import QuorumResult
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Failed, OutcomeUnknown, Refused, Unavailable

RUN = "INC-2025-0001/2.0.1"
PAUSE_ALL: dict[str, Json] = {"contract": REGISTRY, "method": "pauseAll", "args": ["drained"]}
ONE_APP: dict[str, Json] = {"contract": REGISTRY, "method": "setPaused", "args": ["true", "shop"]}
OPEN: dict[str, Json] = {"paused": False, "probes": {PROBE.name: True}}


@pytest.fixture
def scene() -> Platform:
    return platform()


async def bound(scene: Platform) -> PauseInput:
    return await scene.pause().bind(PAUSE_ALL)


# Binding: which way to pause this is.


async def test_the_command_binds_to_the_entry_that_it_is_an_instance_of(scene: Platform) -> None:
    given = await scene.pause().bind(PAUSE_ALL)
    assert (given.binding, given.stops) == ("all", "all")
    assert str(given.call) == "PauseRegistry.pauseAll(drained)"
    assert str(given.paused) == "PauseRegistry.isPaused()"


async def test_what_the_command_names_goes_on_to_the_read_and_to_the_words(scene: Platform) -> None:
    arguments: dict[str, Json] = {"contract": REGISTRY, "method": "setPaused", "args": ["true", "shop"]}
    given = await scene.pause().bind(arguments)
    assert (given.binding, given.stops) == ("one app", "the app shop")
    assert str(given.paused) == "PauseRegistry.isPaused(shop)"


@pytest.mark.parametrize(
    "arguments",
    [
        {"contract": REGISTRY, "method": "setPaused", "args": ["false", "shop"]},  # that would resume
        {"contract": REGISTRY, "method": "pauseAll", "args": []},
        {"contract": SHOP, "method": "setPrice", "args": ["1"]},
    ],
)
async def test_a_call_whose_effect_nobody_could_see_is_refused(scene: Platform, arguments: dict[str, Json]) -> None:
    with pytest.raises(Refused, match=r"no \[\[pause\]\] entry") as refused:
        await scene.pause().bind(arguments)
    assert refused.value.code == "no-pause-binding"


async def test_one_name_in_two_places_wants_one_value(scene: Platform) -> None:
    twice = PauseBinding("twice", CallTemplate(REGISTRY, "setPaused", ("{x}", "{x}")), CallTemplate(REGISTRY, "x"), "x")
    assert twice.call.captures(REGISTRY, "setPaused", ["true", "true"]) == {"x": "true"}
    assert twice.call.captures(REGISTRY, "setPaused", ["true", "shop"]) is None


async def test_a_reason_in_braces_stays_what_it_is(scene: Platform) -> None:
    given = await scene.pause().bind({**ONE_APP, "args": ["true", "{0} {app} %s"]})
    assert given.stops == "the app {0} {app} %s"
    assert given.paused.arguments[0].text == "{0} {app} %s"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"method": "pauseAll"}, "argument-missing"),
        ({"contract": REGISTRY}, "argument-missing"),
        ({"contract": "<registry>", "method": "pauseAll"}, "no-contract-hash"),
        ({"contract": "99" * 20, "method": "pauseAll"}, "contract-unknown"),
        ({"contract": REGISTRY, "method": "pauseAll", "args": "drained"}, "argument-missing"),
        ({"contract": REGISTRY, "method": "pauseAll", "args": [["nested"]]}, "wrong-argument"),
        ({"contract": REGISTRY, "method": "pauseAll", "args": [0.5]}, "wrong-argument"),
    ],
)
async def test_an_incomplete_command_is_refused(scene: Platform, arguments: dict[str, Json], code: str) -> None:
    with pytest.raises(Refused) as refused:
        await scene.pause().bind(arguments)
    assert refused.value.code == code


async def test_truth_values_of_a_runbooks_yaml_are_arguments_too(scene: Platform) -> None:
    given = await scene.pause().bind({**ONE_APP, "args": [True, "shop"]})
    assert given.binding == "one app"


# Preflight: would it work, tried without changing anything.


async def test_a_preflight_says_what_would_be_done_and_what_stands(scene: Platform) -> None:
    preflight = await scene.pause().preflight(await bound(scene))
    assert preflight.summary == "pause all: PauseRegistry.pauseAll(drained)"
    assert preflight.before == OPEN
    assert preflight.resources == (f"contract:{REGISTRY}",)
    assert not scene.chain.sent
    assert b"*" not in scene.chain.state(REGISTRY)


async def test_a_signer_who_may_not_pause_is_found_before_anything_is_sent(scene: Platform) -> None:
    scene.revoke_operator()
    with pytest.raises(Refused, match=r"pauseAll\(drained\) would fail: not an operator") as refused:
        await scene.pause().preflight(await bound(scene))
    assert refused.value.code == "test-invocation-faulted"
    assert "the account of the pause key" in refused.value.next_step


@pytest.mark.parametrize("no", [False, 0, b"", b"\x00"])
async def test_a_pause_that_would_answer_no_is_refused(scene: Platform, no: bool | int | bytes) -> None:
    scene.chain.answer(REGISTRY, "pauseAll", no)
    with pytest.raises(Refused, match="would run and answer false") as refused:
        await scene.pause().preflight(await bound(scene))
    assert refused.value.code == "call-answers-false"


async def test_a_pause_that_would_pause_nothing_is_refused(scene: Platform) -> None:
    scene.chain.answer(REGISTRY, "pauseAll", True)
    with pytest.raises(Refused, match="would still say that nothing is paused") as refused:
        await scene.pause().preflight(await bound(scene))
    assert refused.value.code == "pause-would-not-hold"


async def test_a_pause_that_nobody_could_see_is_refused(scene: Platform) -> None:
    given = await bound(scene)
    scene.chain.fault(REGISTRY, "isPaused", "storage is gone")
    with pytest.raises(Refused, match=r"can't be read.*: storage is gone") as refused:
        await scene.pause().preflight(given)
    assert refused.value.code == "pause-unreadable"


async def test_a_key_that_is_not_configured_is_refused(scene: Platform) -> None:
    scene.chain.accounts.clear()
    with pytest.raises(Refused, match="no key is configured for 'pause'"):
        await scene.pause().preflight(await bound(scene))


async def test_a_preflight_without_any_node_is_unavailable(scene: Platform) -> None:
    given = await bound(scene)
    scene.chain.silence(1)
    with pytest.raises(Unavailable):
        await scene.pause().preflight(given)


async def test_a_probe_of_another_binding_is_not_tried(scene: Platform) -> None:
    preflight = await scene.pause(replace(PROBE, bindings=("one app",))).preflight(await bound(scene))
    assert preflight.before["probes"] == {}


async def test_a_probe_that_can_not_be_formed_does_not_hold_up_the_pause(scene: Platform) -> None:
    broken = replace(PROBE, call=CallTemplate(SHOP, "ordr", (USER, "3")))
    preflight = await scene.pause(broken).preflight(await bound(scene))
    assert preflight.before == {"paused": False, "probes": {PROBE.name: False}}
    assert "its effect can't be proven: an order in the shop can't be tried: " in preflight.summary
    assert "has no method ordr" in preflight.summary


# Paused already: nothing is sent.


async def test_what_is_paused_already_is_not_paused_again(scene: Platform) -> None:
    scene.chain.state(REGISTRY)[b"*"] = 1
    scene.chain.fault(REGISTRY, "pauseAll", "paused already")  # as many contracts answer a second pause
    action, given = scene.pause(), await bound(scene)
    preflight = await action.preflight(given)
    assert preflight.summary.endswith("(is paused already: nothing would be sent)")
    receipt = await action.run(RUN, given, preflight.before)
    assert receipt == Receipt(note="was paused already; nothing was sent")
    assert await action.recall(RUN, given, preflight.before) == receipt
    assert not scene.chain.sent
    verification = await action.verify(RUN, given, preflight.before, receipt)
    assert verification.holds
    assert verification.effect_probe is not None
    assert "was refused before as well, now refused" in verification.effect_probe


async def test_what_was_resumed_in_the_meantime_does_not_hold(scene: Platform) -> None:
    scene.chain.state(REGISTRY)[b"*"] = 1
    action, given = scene.pause(), await bound(scene)
    before = (await action.preflight(given)).before
    scene.resume()
    verification = await action.verify(RUN, given, before, await action.run(RUN, given, before))
    assert not verification.holds


# Run and recall: one transaction a key.


async def test_a_run_hands_out_its_transaction_and_repeating_it_the_same(scene: Platform) -> None:
    action, given = scene.pause(), await bound(scene)
    assert await action.recall(RUN, given, OPEN) is None
    receipt = await action.run(RUN, given, OPEN)
    assert receipt.tx is not None
    assert receipt.valid_until_block == VALID_BLOCKS
    assert await action.run(RUN, given, OPEN) == receipt
    assert await action.recall(RUN, given, OPEN) == receipt
    assert list(scene.chain.sent) == [RUN]


async def test_the_witness_is_good_for_the_called_contract_only(scene: Platform) -> None:
    given = await bound(scene)
    signer = await scene.caller().signer(given.call.invocation())
    assert (signer.account, signer.scope, signer.contracts) == (OPERATOR, "custom_contracts", (REGISTRY,))


# Verification: what the world says afterwards.


async def paused(scene: Platform) -> tuple[PauseInput, Receipt]:
    given = await bound(scene)
    receipt = await scene.pause().run(RUN, given, OPEN)
    scene.chain.mine()
    return given, receipt


async def test_a_pause_holds_when_a_quorum_reads_it_and_user_calls_stop(scene: Platform) -> None:
    given, receipt = await paused(scene)
    scene.chain.answering = 2
    verification = await scene.pause().verify(RUN, given, OPEN, receipt)
    assert verification.holds
    assert verification.summary == "all is paused at height 1"
    assert (verification.height, verification.quorum) == (1, QuorumResult(needed=2, confirmed=2, of=3))
    probe = "an order in the shop: worked before, now refused (the platform is paused)"
    assert verification.effect_probe == probe
    assert await scene.pause().verify(RUN, given, OPEN, receipt) == verification


async def test_a_pause_without_a_probe_holds_without_that_sentence(scene: Platform) -> None:
    given, receipt = await paused(scene)
    verification = await scene.pause(replace(PROBE, bindings=())).verify(RUN, given, OPEN, receipt)
    assert verification.holds
    assert verification.effect_probe is None


async def test_a_transaction_that_faulted_has_failed(scene: Platform) -> None:
    action, given = scene.pause(), await bound(scene)
    receipt = await action.run(RUN, given, OPEN)
    scene.revoke_operator()
    block = scene.chain.mine()
    with pytest.raises(Failed, match=r"FAULTed .*: not an operator") as failed:
        await action.verify(RUN, given, OPEN, receipt)
    assert failed.value.code == "call-faulted"
    assert failed.value.data["height"] == block.height


@pytest.mark.parametrize("no", [False, 0])
async def test_a_transaction_that_answered_false_has_failed(scene: Platform, no: bool | int) -> None:
    action, given = scene.pause(), await bound(scene)
    receipt = await action.run(RUN, given, OPEN)
    scene.chain.answer(REGISTRY, "pauseAll", no)
    scene.chain.mine()
    with pytest.raises(Failed, match="ran and answered false") as failed:
        await action.verify(RUN, given, OPEN, receipt)
    assert failed.value.code == "call-answered-false"


async def test_a_transaction_that_no_block_took_in_time_has_failed(scene: Platform) -> None:
    action, given = scene.pause(), await bound(scene)
    receipt = await action.run(RUN, given, OPEN)
    with pytest.raises(OutcomeUnknown):
        await action.verify(RUN, given, OPEN, receipt)
    scene.pass_blocks(VALID_BLOCKS + 1)
    with pytest.raises(Failed):
        await action.verify(RUN, given, OPEN, receipt)


async def test_a_pause_that_the_quorum_does_not_read_does_not_hold(scene: Platform) -> None:
    given, receipt = await paused(scene)
    scene.resume()
    verification = await scene.pause().verify(RUN, given, OPEN, receipt)
    assert not verification.holds
    assert verification.summary == "PauseRegistry.isPaused() says that nothing is paused at height 1"
    assert verification.quorum is not None


async def test_a_pause_that_stops_no_user_does_not_hold(scene: Platform) -> None:
    given, receipt = await paused(scene)
    scene.chain.answer(SHOP, "order", True)
    verification = await scene.pause().verify(RUN, given, OPEN, receipt)
    assert not verification.holds
    assert verification.partial
    assert verification.summary == "all is paused at height 1, but an order in the shop still works"


async def test_a_user_call_refused_for_another_reason_proves_nothing(scene: Platform) -> None:
    given, receipt = await paused(scene)
    scene.chain.fault(SHOP, "order", "insufficient funds")
    verification = await scene.pause().verify(RUN, given, OPEN, receipt)
    assert not verification.holds
    assert "is refused for another reason: insufficient funds" in verification.summary


async def test_a_user_call_that_was_refused_before_as_well_shows_nothing(scene: Platform) -> None:
    given, receipt = await paused(scene)
    before = {"paused": False, "probes": {PROBE.name: False}}
    verification = await scene.pause().verify(RUN, given, before, receipt)
    assert (verification.holds, verification.partial) == (False, True)
    assert "no user call shows it: an order in the shop: was refused before as well" in verification.summary


async def test_a_probe_that_can_not_be_formed_proves_nothing(scene: Platform) -> None:
    given, receipt = await paused(scene)
    broken = replace(PROBE, call=CallTemplate(SHOP, "ordr", (USER, "3")))
    verification = await scene.pause(broken).verify(RUN, given, OPEN, receipt)
    assert not verification.holds
    assert "is paused at height 1, but an order in the shop can't be tried" in verification.summary


async def test_one_open_probe_of_several_is_enough_not_to_hold(scene: Platform) -> None:
    given, receipt = await paused(scene)
    price = replace(PROBE, name="a new price", call=CallTemplate(SHOP, "setPrice", ("1",)))
    verification = await scene.pause(PROBE, price).verify(RUN, given, OPEN, receipt)
    assert not verification.holds
    assert verification.effect_probe == "a new price still works"


@pytest.mark.parametrize("sent", [True, False])
async def test_a_vanished_quorum_is_never_taken_for_a_pause(scene: Platform, sent: bool) -> None:
    given, receipt = await paused(scene)
    scene.chain.answering = 1
    with pytest.raises((Unavailable, OutcomeUnknown)):
        await scene.pause().verify(RUN, given, OPEN, receipt if sent else Receipt())


# Compensation: not with this key.


async def test_resuming_is_refused_and_says_who_can(scene: Platform) -> None:
    given, receipt = await paused(scene)
    with pytest.raises(Refused, match="all is resumed by the platform's admin") as refused:
        await scene.pause().compensate(RUN, given, OPEN, receipt)
    assert "multi-signature" in refused.value.next_step
    assert "two people" in refused.value.next_step
