"""What a run would do is found out by trying, in the order of the runbook, and nothing is changed by that."""

import pytest

from respond.house import FILE, PAUSE_LINE, RUN, VARIABLES, House, open_house
from respond.world import TwoPersonPause
from tocsin.actions.catalogue import Catalogue
from tocsin.domain.actions import ActionCall, ActionStatus, Autonomy, SourcePosition
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused, Unavailable
from tocsin.incident.events import PlanProposed, RunManual, RunRefused, StepRequested, StepSkipped
from tocsin.incident.state import RunState
from tocsin.respond.runner import Rules, Runner

NO = Refused("no-right", "the key may not pause")
HERE = SourcePosition(FILE, 1)


def error_of(run: RunState) -> dict[str, Json]:
    assert run.error is not None
    return dict(run.error)


async def test_the_first_alternative_that_passes_becomes_the_plan() -> None:
    house = await open_house()
    run = await house.planned()
    assert run.status is ActionStatus.WAITING
    assert run.alternative == 0
    assert run.plan is not None
    assert run.plan.inputs == {"method": "pauseAll", "args": ["INC-2026-0001: Exploit"]}
    assert run.plan.resources == ("contract:switch",)
    assert house.world.asked == ["bind pauseAll", "preflight pauseAll"], "the second alternative is not even tried"
    assert house.world.changed == {}


@pytest.mark.parametrize("where", ["bind pauseAll", "preflight pauseAll"])
@pytest.mark.parametrize("error", [NO, Unavailable("no-node", "no node answers")])
async def test_an_alternative_that_would_fail_is_passed_over_with_the_reason(where: str, error: Exception) -> None:
    house = await open_house()
    house.world.answers[where].append(error)
    run = await house.planned()
    assert run.alternative == 1
    assert run.plan is not None
    assert run.plan.inputs["args"] == ["true", "app-1"]
    assert run.refusals == (f"{FILE}:{PAUSE_LINE}: {error}",)


async def test_a_refusal_names_file_and_line_of_the_first_alternative() -> None:
    house = await open_house()
    house.world.answers["preflight pauseAll"].append(NO)
    house.world.answers["preflight setPaused"].append(Refused("no-app", "there is no such app"))
    run = await house.planned()
    assert run.status is ActionStatus.REFUSED
    error = error_of(run)
    assert (error["code"], error["message"]) == ("no-right", "the key may not pause")
    assert error["data"] == {"file": FILE, "line": PAUSE_LINE}


async def test_a_placeholder_without_a_value_is_refused_with_its_name() -> None:
    house = await open_house(variables={name: text for name, text in VARIABLES.items() if name != "registry"})
    error = error_of(await house.planned())
    assert error["code"] == "placeholder-unbound"
    assert "<registry>" in str(error["message"])
    assert error["data"] == {"file": FILE, "line": PAUSE_LINE}
    assert house.world.asked == []


async def test_the_second_alternative_can_be_asked_for_alone() -> None:
    house = await open_house()
    await house.planned()
    await house.says("alice", StepRequested(1, "only one app is hit", choice=0, alternative=1))
    again = "INC-2026-0001/1.0.2"
    await house.runner.preflight("INC-2026-0001", again)
    assert (await house.run(again)).alternative == 1
    assert house.world.asked[-1] == "preflight setPaused"


async def test_a_command_that_no_action_carries_out_is_for_a_person() -> None:
    house = await open_house(text=with_command("ssh validator stop-the-world"))
    run = await house.planned()
    assert run.status is ActionStatus.WAITING
    assert run.manual == "Tocsin has no action for `ssh`"
    assert isinstance((await house.events())[-1], RunManual)


async def test_an_action_that_this_installation_lacks_is_for_a_person() -> None:
    house = await open_house()
    runner = with_catalogue(house, Catalogue([]))
    await house.declare()
    await runner.preflight("INC-2026-0001", RUN)
    run = await house.run()
    assert run.manual is not None
    assert "contract.pause" in run.manual


async def test_a_manual_alternative_after_a_refused_one_is_told_but_not_proposed() -> None:
    house = await open_house(
        text=with_command(
            "neo-go contract invokefunction -w <wallet> -r <rpc> <registry> pauseAll x", "ssh validator stop"
        )
    )
    house.world.answers["preflight pauseAll"].append(NO)
    run = await house.planned()
    assert run.status is ActionStatus.REFUSED
    assert error_of(run)["code"] == "no-right"


async def test_a_repeated_preflight_proposes_once() -> None:
    house = await open_house()
    await house.planned()
    await house.runner.preflight("INC-2026-0001", RUN)
    assert [type(event) for event in await house.events()].count(PlanProposed) == 1


async def test_a_preflight_of_an_unknown_run_does_nothing() -> None:
    house = await open_house()
    await house.declare()
    await house.runner.preflight("INC-2026-0001", "INC-2026-0001/9.9.9")
    assert len(await house.events()) == 1


async def test_what_a_preflight_finds_after_the_step_was_skipped_is_dropped() -> None:
    house = await open_house()
    await house.declare()

    async def skip() -> None:
        await house.says("alice", StepSkipped(1, "a false alarm after all"))

    house.world.meanwhile["preflight pauseAll"] = skip
    await house.runner.preflight("INC-2026-0001", RUN)
    assert (await house.run()).status is ActionStatus.SKIPPED
    assert isinstance((await house.events())[-1], StepSkipped)


async def test_an_unforeseen_error_in_a_preflight_is_a_refusal_that_changed_nothing() -> None:
    house = await open_house()
    await house.declare()
    for _ in range(2):
        await house.runner.crashed("INC-2026-0001", RUN, RuntimeError("a bug"), "preflight")
    run = await house.run()
    assert run.status is ActionStatus.REFUSED
    assert error_of(run)["code"] == "internal-error"
    assert [type(event) for event in await house.events()].count(RunRefused) == 1


@pytest.mark.parametrize(
    ("mode", "setting", "inferred", "expected"),
    [
        (Autonomy.ACT, None, True, Autonomy.ASK),
        (Autonomy.ACT, None, False, Autonomy.ASK_THEN_ACT),
        (Autonomy.ACT, Autonomy.ACT, False, Autonomy.ACT),
        (Autonomy.ACT, Autonomy.ACT, True, Autonomy.ASK),
        (Autonomy.ASK_THEN_ACT, Autonomy.ACT, False, Autonomy.ASK_THEN_ACT),
        (Autonomy.ASK, Autonomy.ACT, False, Autonomy.ASK),
        (Autonomy.OBSERVE, Autonomy.ACT, False, Autonomy.OBSERVE),
        (Autonomy.ACT, Autonomy.OBSERVE, False, Autonomy.OBSERVE),
    ],
)
async def test_the_strictest_word_of_mode_source_and_setting_wins(
    mode: Autonomy, setting: Autonomy | None, inferred: bool, expected: Autonomy
) -> None:
    settings = {} if setting is None else {"contract.pause": setting}
    house = await open_house(mode=mode, autonomy=settings, inferred=inferred)
    assert (await house.planned()).autonomy is expected


async def test_a_mode_that_became_stricter_since_the_declaration_counts() -> None:
    house = await open_house(autonomy={"contract.pause": Autonomy.ACT}, inferred=False)
    state = await house.declare()
    runner = with_rules(house, Autonomy.OBSERVE)
    call = ActionCall("contract.pause", {"method": "pauseAll", "args": []}, HERE, inferred=False)
    bound = await house.runner.catalogue.bind(call)
    assert runner.autonomy(state, bound, call) is Autonomy.OBSERVE


async def test_a_read_needs_no_consent_though_it_was_inferred() -> None:
    house = await open_house()
    await house.planned()
    await house.says("alice", StepSkipped(1, "paused by hand"))
    read = "INC-2026-0001/2.0.1"
    await house.runner.preflight("INC-2026-0001", read)
    assert (await house.run(read)).autonomy is Autonomy.ACT
    assert (await house.run(read)).status is ActionStatus.RUNNING


async def test_two_people_are_part_of_the_plan_whatever_the_autonomy() -> None:
    house = await open_house(pause=TwoPersonPause, autonomy={"contract.pause": Autonomy.ACT}, inferred=False)
    run = await house.planned()
    assert run.approvals_required == 2
    assert run.status is ActionStatus.WAITING


def with_command(*alternatives: str) -> str:
    commands = "\n\n    # Or\n    ".join(alternatives)
    return f"""\
# Small Runbook

## Severity Levels

| Level | Name     | Response Time | Examples   |
| ----- | -------- | ------------- | ---------- |
| P0    | Critical | 15 min        | funds lost |

## Emergencies

### 1. Exploit (P0)

**Immediate Actions:**

1. **Pause** (5 minutes)

    ```bash
    # Stop it
    {commands}
    ```
"""


def with_catalogue(house: House, catalogue: Catalogue) -> Runner:
    of = house.runner
    return Runner(of.incidents, catalogue, of.leases, of.principals, of.clock, of.rules)


def with_rules(house: House, mode: Autonomy) -> Runner:
    of = house.runner
    rules = Rules(mode, of.rules.autonomy, of.rules.variables, of.rules.roles, of.rules.network)
    return Runner(of.incidents, of.catalogue, of.leases, of.principals, of.clock, rules)
