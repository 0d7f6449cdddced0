"""A reflex's shot becomes the pause step of its incident, and whatever that stood at, nothing is sent a second time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from respond.house import MIDNIGHT, RUN, House, open_house
from respond.world import SWITCH, Pause
from tocsin.domain.actions import ActionStatus, Autonomy
from tocsin.domain.canonical import Json
from tocsin.domain.detections import Detection
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import tx_hash
from tocsin.incident.events import ClosedAsFalseAlarm, NoteAdded, RunFired, RunSent
from tocsin.incident.state import RunState
from tocsin.respond.shots import FiredAction, Shots

INCIDENT = "INC-2026-0001"
REGISTRY = "0x01"
KEY = "reflex/everything/0011"
TX = tx_hash(f"{1:064x}")
DETECTION = Detection(
    id="out:1",
    rule="gas-outflow",
    emergency="exploit",
    symptom="Unusual fund movements",
    key="exploit:hub",
    summary="50 GAS would leave the hub",
    observed_at=MIDNIGHT,
    height=7,
    evidence={},
)


@dataclass(frozen=True)
class Aim:
    contract: str
    method: str


@dataclass(frozen=True)
class AimedInput:
    """What `contract.pause` takes, as far as it says what a pause is aimed at."""

    call: Aim
    stops: str
    args: tuple[str, ...]

    @property
    def method(self) -> str:
        return self.call.method


def aimed(contract: str, method: str, *args: str) -> AimedInput:
    return AimedInput(Aim(contract, method), f"the app {args[1]}" if method == "setPaused" else "everything", args)


@dataclass(frozen=True)
class AimedPause(Pause):
    """The pause of these tests, whose input says what it is aimed at."""

    @property
    def input_type(self) -> type[AimedInput]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return AimedInput

    async def bind(self, arguments: Mapping[str, Json]) -> AimedInput:  # pyright: ignore[reportIncompatibleMethodOverride]
        method, args = arguments["method"], arguments["args"]
        assert isinstance(args, Sequence)
        await self.world.called(f"bind {method}")
        return aimed(str(arguments["contract"]), str(method), *map(str, args))


def shot(given: AimedInput | None = None, *, key: str = KEY) -> FiredAction:
    """What a reflex has fired; its reason is its own."""
    given = given or aimed(REGISTRY, "pauseAll", "Tocsin reflex")
    inputs: Mapping[str, Json] = {
        "call": {"contract": given.call.contract, "method": given.method},
        "stops": given.stops,
        "args": list(given.args),
    }
    summary = f"pause {given.stops}"
    return FiredAction("contract.pause", summary, inputs, {"paused": False}, (SWITCH,), key, TX, ("alice",))


class Range:
    """A house into which shots are taken. The shot's transaction stands in the outbox before anybody hears of it."""

    def __init__(self, house: House) -> None:
        self.house = house
        rules = house.runner.rules
        self.shots = Shots(house.incidents, house.runner.catalogue, rules.variables, rules.network)
        house.world.change(KEY)

    async def take(self, fired: FiredAction | None = None, detection: Detection = DETECTION) -> str:
        return await self.shots.take(detection, fired or shot())

    async def finishes(self, run: str = RUN) -> RunState:
        """What the conductor does with a run that executes."""
        incident = run.partition("/")[0]
        await self.house.runner.send(incident, run)
        await self.house.runner.verify(incident, run)
        return await self.house.run(run)

    async def recorded(self, kind: type) -> list[object]:
        return [event for event in await self.house.events() if isinstance(event, kind)]


async def open_range(mode: Autonomy = Autonomy.ACT) -> Range:
    return Range(await open_house(pause=AimedPause, mode=mode))


async def test_a_shot_before_its_incident_opens_one_whose_pause_is_under_way() -> None:
    scene = await open_range()
    assert await scene.take() == INCIDENT
    run = await scene.house.run()
    assert (run.status, run.alternative, run.outbox_key) == (ActionStatus.RUNNING, 0, KEY)
    (fired,) = await scene.recorded(RunFired)
    assert isinstance(fired, RunFired)
    assert fired.armed_by == ("alice",)
    state = await scene.house.state()
    assert [each.id for each in state.detections] == [DETECTION.id]


async def test_a_shot_is_verified_by_what_it_sent_and_nothing_is_sent_a_second_time() -> None:
    scene = await open_range()
    await scene.take()
    run = await scene.finishes()
    assert (run.status, run.tx) == (ActionStatus.VERIFIED, TX)
    assert "run" not in scene.house.world.asked, "it is recalled by the shot's key in the outbox"
    assert set(scene.house.world.changed) == {KEY}
    assert await scene.recorded(RunSent) == [RunSent(RUN, TX, 1_000)]


async def test_a_shot_whose_pause_does_not_hold_is_no_success() -> None:
    scene = await open_range()
    scene.house.world.holds = False
    await scene.take()
    assert (await scene.finishes()).status is ActionStatus.FAILED


async def test_a_shot_takes_the_place_of_a_run_that_is_still_tried() -> None:
    scene = await open_range()
    await scene.house.incidents.detected(DETECTION)
    assert (await scene.house.run()).status is ActionStatus.PREFLIGHT
    await scene.take()
    await scene.house.runner.preflight(INCIDENT, RUN)
    run = await scene.finishes()
    assert (run.status, run.tx) == (ActionStatus.VERIFIED, TX)


@pytest.mark.parametrize("mode", [Autonomy.ACT, Autonomy.ASK, Autonomy.OBSERVE], ids=str)
async def test_a_shot_takes_the_place_of_a_plan_that_waits(mode: Autonomy) -> None:
    scene = await open_range(mode)
    await scene.house.incidents.detected(DETECTION)
    await scene.house.runner.preflight(INCIDENT, RUN)
    waited = await scene.house.run()
    await scene.take()
    run = await scene.house.run()
    assert (waited.outbox_key, run.status, run.outbox_key) == (None, ActionStatus.RUNNING, KEY)
    assert (await scene.finishes()).tx == TX


async def test_a_run_that_was_approved_first_goes_on_and_the_shot_is_noted() -> None:
    scene = await open_range()
    await scene.house.incidents.detected(DETECTION)
    await scene.house.runner.preflight(INCIDENT, RUN)
    await scene.house.approves("alice")
    await scene.take()
    assert (await scene.house.run()).outbox_key is None
    (note,) = await scene.recorded(NoteAdded)
    assert isinstance(note, NoteAdded)
    assert str(TX) in note.text


async def test_a_shot_after_the_pause_was_verified_is_noted() -> None:
    scene = await open_range()
    await scene.take()
    await scene.finishes()
    await scene.take(shot(key="reflex/everything/0022"), replace(DETECTION, id="out:2"))
    assert len(await scene.recorded(RunFired)) == 1
    assert len(await scene.recorded(NoteAdded)) == 1
    assert (await scene.house.run()).status is ActionStatus.VERIFIED


async def test_the_alternative_that_was_fired_is_the_one_that_was_chosen() -> None:
    scene = await open_range()
    await scene.take(shot(aimed(REGISTRY, "setPaused", "true", "app-1")))
    assert (await scene.house.run()).alternative == 1


@pytest.mark.parametrize(
    "other",
    [
        aimed(REGISTRY, "setPaused", "true", "app-2"),
        aimed("0x02", "pauseAll", "Tocsin reflex"),
        aimed(REGISTRY, "pauseEverything", "Tocsin reflex"),
    ],
    ids=["another app", "another contract", "another method"],
)
async def test_a_shot_that_no_alternative_is_aimed_at_is_noted_and_the_procedure_goes_on(other: AimedInput) -> None:
    scene = await open_range()
    await scene.take(shot(other))
    assert (await scene.house.run()).status is ActionStatus.PREFLIGHT
    assert len(await scene.recorded(NoteAdded)) == 1


async def test_inputs_that_are_no_calls_are_never_taken_for_the_same() -> None:
    house = await open_house()  # whose pauses do not say what they are aimed at
    scene = Range(house)
    await scene.take(replace(shot(), inputs={"method": "pauseAll", "args": ["Tocsin reflex"]}))
    assert await scene.recorded(RunFired) == []
    assert len(await scene.recorded(NoteAdded)) == 1


@pytest.mark.parametrize(
    "error", [Refused("no-method", "no such method"), Unavailable("no-node", "no node answers")], ids=str
)
async def test_an_alternative_that_can_not_be_bound_is_passed_over(error: Exception) -> None:
    scene = await open_range()
    scene.house.world.answers["bind pauseAll"].append(error)
    await scene.take(shot(aimed(REGISTRY, "setPaused", "true", "app-1")))
    assert (await scene.house.run()).alternative == 1


async def test_taking_a_shot_twice_changes_nothing_whatever_happened_in_between() -> None:
    scene = await open_range()
    await scene.take()
    await scene.take()
    events = len(await scene.house.events())
    await scene.finishes()
    done = len(await scene.house.events())
    assert await scene.take() == INCIDENT
    assert (len(await scene.recorded(RunFired)), len(await scene.recorded(NoteAdded))) == (1, 0)
    assert (events, len(await scene.house.events())) == (3, done)


async def test_whether_a_shot_was_taken_is_known_by_its_key() -> None:
    scene = await open_range()
    assert not await scene.shots.taken(KEY)
    await scene.take()
    assert await scene.shots.taken(KEY)
    assert not await scene.shots.taken("reflex/everything/0022")


async def test_a_shot_after_its_incident_was_closed_opens_another() -> None:
    scene = await open_range()
    await scene.take()
    await scene.finishes()
    await scene.house.says("alice", ClosedAsFalseAlarm("a planned payout"))
    second = await scene.take(shot(key="reflex/everything/0022"), replace(DETECTION, id="out:2"))
    assert second == "INC-2026-0002"
    assert (await scene.house.run(f"{second}/1.0.1")).outbox_key == "reflex/everything/0022"
