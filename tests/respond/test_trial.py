"""A dry run tries everything that a procedure could do, and does nothing."""

import pytest

from fakes.outbox import MemoryOutbox
from respond.house import FILE, NETWORK, PAUSE_LINE, TEXT, VARIABLES
from respond.world import World, catalogue
from tocsin.connect.ports import OutboxStatus
from tocsin.domain.errors import Refused, TocsinError, Unavailable
from tocsin.respond.trial import NoOutbox, Trial, try_procedure
from tocsin.runbook.compile import compile_runbook

BY_HAND = TEXT.replace(
    "    neo-go contract testinvokefunction", "    ssh validator uptime\n    neo-go contract testinvokefunction"
)


async def tried(world: World, text: str = TEXT, variables: dict[str, str] | None = None) -> list[Trial]:
    runbook = compile_runbook(text.encode(), FILE)
    emergency = runbook.emergency("exploit")
    assert emergency is not None
    given = VARIABLES if variables is None else variables
    return await try_procedure(catalogue(world), runbook, emergency, given, NETWORK)


async def test_every_command_is_tried_alternatives_too_in_the_order_of_the_runbook() -> None:
    world = World()
    trials = await tried(world)
    assert [trial.plan and trial.plan.summary for trial in trials] == [
        "pauseAll(dry run)",
        "setPaused(true, app-1)",
        "read isPaused",
    ]
    assert [trial.step.number for trial in trials] == [1, 1, 2]
    assert world.changed == {}
    assert not {"run", "verify", "recall"} & set(world.asked)


@pytest.mark.parametrize("error", [Refused("no-right", "the key may not pause"), Unavailable("no-node", "no answer")])
async def test_one_that_would_fail_is_named_with_its_place_and_the_others_are_tried(error: TocsinError) -> None:
    world = World()
    world.answers["preflight pauseAll"].append(error)
    failed, *others = await tried(world)
    assert failed.error is not None
    assert failed.error is error
    assert (failed.error.data["file"], failed.error.data["line"]) == (FILE, PAUSE_LINE)
    assert all(trial.plan is not None for trial in others)


async def test_a_missing_variable_is_found_for_each_command_that_needs_it() -> None:
    trials = await tried(World(), variables={})
    assert [trial.error and trial.error.code for trial in trials] == ["placeholder-unbound"] * 3


async def test_what_only_a_person_can_do_says_why() -> None:
    manual = [trial.manual for trial in await tried(World(), BY_HAND) if trial.manual]
    assert manual == ["Tocsin has no action for `ssh`"]


async def test_an_action_that_is_not_installed_is_for_a_person() -> None:
    text = TEXT.replace("testinvokefunction -r <rpc> <registry> isPaused", "invokefunction -w w -r r <registry> burn")
    *_, trial = await tried(World(), text)
    assert trial.manual is not None
    assert "contract.invoke" in trial.manual


async def test_the_outbox_of_a_dry_run_takes_nothing() -> None:
    outbox = NoOutbox()
    with pytest.raises(Refused, match="a dry run sends nothing"):
        await outbox.settle("key", OutboxStatus.EXPIRED, None)
    assert await outbox.get("key") is None
    assert list(await outbox.unsettled()) == list(await MemoryOutbox().unsettled()) == []
