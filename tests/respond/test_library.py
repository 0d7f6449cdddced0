"""A runbook is code: a changed one stays inert until people have accepted it, two of them where it matters."""

import pytest

from fakes.repositories import MemoryRunbooks
from respond.house import FILE, MIDNIGHT, TEXT, is_signature, open_house, principals, public_key, signs
from tocsin.domain.clock import ManualClock
from tocsin.domain.errors import ConfigurationInvalid, Refused
from tocsin.domain.principals import Principal, PrincipalKind
from tocsin.respond.approvals import Principals
from tocsin.respond.library import Acceptance, Library, acceptance_message
from tocsin.runbook.compile import compile_runbook

REWORDED = TEXT.replace("Review recent transactions", "Review the last hour's transactions")
READS_MORE = TEXT.replace("isPaused", "isPaused <app_id>")
CHANGED = {
    "another argument": TEXT.replace("setPaused true <app_id>", "setPaused true other-app"),
    "another method": TEXT.replace("pauseAll <reason>", "pauseEverything <reason>"),
    "one call less": TEXT.replace(
        "    neo-go contract invokefunction -w <wallet> -r <rpc> <registry> pauseAll <reason>\n", ""
    ),
    "both instead of either": TEXT.replace("# Or one app", "# And one app"),
    "a condition less": TEXT.replace("(5 minutes)", "(if critical)"),
}


def hash_of(text: str) -> str:
    return compile_runbook(text.encode(), FILE).hash


async def accept(library: Library, person: str, text: str = TEXT) -> Acceptance:
    return await library.accept(text.encode(), FILE, person, signs(person))


def empty_library(*people: str) -> Library:
    return Library(MemoryRunbooks(), principals(*people), ManualClock(MIDNIGHT))


def again(library: Library, *people: str) -> Library:
    """The same store with other people enrolled."""
    return Library(library.store, principals(*people), library.clock)


async def accepted_by_two() -> Library:
    library = empty_library()
    await accept(library, "alice")
    await accept(library, "bob")
    return library


async def test_nothing_runs_without_an_accepted_runbook() -> None:
    with pytest.raises(Refused) as refused:
        await empty_library().accepted()
    assert refused.value.code == "no-runbook-accepted"


async def test_the_first_acceptance_needs_two_people() -> None:
    library = empty_library()
    first = await accept(library, "alice")
    assert (first.needed, first.accepted_by, first.complete) == (2, ("alice",), False)
    with pytest.raises(Refused):
        await library.accepted()
    second = await accept(library, "bob")
    assert (second.accepted_by, second.complete) == (("alice", "bob"), True)
    assert (await library.accepted()).hash == hash_of(TEXT)


async def test_one_person_twice_is_not_two_people() -> None:
    library = empty_library()
    await accept(library, "alice")
    assert not (await accept(library, "alice")).complete


@pytest.mark.parametrize("text", [REWORDED, READS_MORE], ids=["other words", "another read"])
async def test_one_person_is_enough_where_no_changing_action_changed(text: str) -> None:
    library = await accepted_by_two()
    assert (await accept(library, "carol", text)).complete
    assert (await library.accepted()).hash == hash_of(text)


@pytest.mark.parametrize("text", CHANGED.values(), ids=CHANGED)
async def test_two_people_are_needed_where_a_changing_action_changed(text: str) -> None:
    library = await accepted_by_two()
    acceptance = await accept(library, "carol", text)
    assert (acceptance.needed, acceptance.complete) == (2, False)
    assert (await library.accepted()).hash == hash_of(TEXT), "the old one goes on meanwhile"
    await accept(library, "alice", text)
    assert (await library.accepted()).hash == hash_of(text)


async def test_a_condition_that_was_taken_away_needs_two_people() -> None:
    library = empty_library()
    careful = TEXT.replace("(5 minutes)", "(if critical)")
    for person in ("alice", "bob"):
        await accept(library, person, careful)
    assert not (await accept(library, "carol", TEXT)).complete


async def test_a_changed_file_stays_inert_and_incidents_keep_theirs() -> None:
    house = await open_house()
    before = await house.declare()
    await accept(house.library, "carol", REWORDED)
    assert (await house.state()).runbook_hash == before.runbook_hash == hash_of(TEXT)
    second, _ = await house.incidents.declare("exploit", principal="alice", reason="again")
    assert (await house.state(second)).runbook_hash == hash_of(REWORDED)


async def test_an_acceptance_signed_by_another_is_refused() -> None:
    library = empty_library()
    with pytest.raises(Refused) as refused:
        await library.accept(TEXT.encode(), FILE, "alice", signs("bob"))
    assert refused.value.code == "acceptance-not-signed"
    assert await library.store.text(hash_of(TEXT)) is None


async def test_a_stranger_accepts_nothing() -> None:
    with pytest.raises(Refused) as refused:
        await accept(empty_library(), "mallory")
    assert refused.value.code == "principal-unknown"


async def test_a_forged_acceptance_in_the_store_does_not_count() -> None:
    library = empty_library()
    await accept(library, "alice")
    forged = signs("mallory")(acceptance_message(hash_of(TEXT)))
    await library.store.accept(hash_of(TEXT), "bob", forged, MIDNIGHT, needed=2)
    with pytest.raises(Refused) as refused:
        await library.accepted()
    assert refused.value.code == "no-runbook-accepted"


async def test_a_forged_acceptance_of_a_change_leaves_the_old_runbook_in_force() -> None:
    library = await accepted_by_two()
    text = CHANGED["another method"]
    await accept(library, "alice", text)
    forged = signs("mallory")(acceptance_message(hash_of(text)))
    await library.store.accept(hash_of(text), "bob", forged, MIDNIGHT, needed=2)
    assert (await library.accepted()).hash == hash_of(TEXT)


async def test_an_acceptance_of_somebody_who_left_does_not_count_any_more() -> None:
    library = await accepted_by_two()
    with pytest.raises(Refused) as refused:
        await again(library, "alice", "carol").accepted()
    assert refused.value.code == "no-runbook-accepted"


async def test_going_back_to_an_old_text_is_a_change_like_any_other() -> None:
    library = await accepted_by_two()
    text = CHANGED["another method"]
    for person in ("alice", "bob"):
        await accept(library, person, text)
    assert not (await accept(library, "carol", TEXT)).complete
    assert (await library.accepted()).hash == hash_of(text)


@pytest.mark.parametrize("needed", [0, 1])
async def test_how_many_the_store_says_were_needed_puts_no_runbook_in_force(needed: int) -> None:
    library = await accepted_by_two()
    text = CHANGED["another method"]
    await library.store.keep(hash_of(text), text, FILE)
    signature = signs("carol")(acceptance_message(hash_of(text)))
    await library.store.accept(hash_of(text), "carol", signature, MIDNIGHT, needed=needed)
    assert (await again(library).accepted()).hash == hash_of(TEXT)


class Altered(MemoryRunbooks):
    """A store in which somebody writes another text in the place of what was accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.altered: dict[str, str] = {}

    async def text(self, hash_: str) -> tuple[str, str] | None:
        kept = await super().text(hash_)
        return kept if kept is None else (self.altered.get(hash_, kept[0]), kept[1])


@pytest.mark.parametrize("forged", [CHANGED["another method"], "no runbook at all"], ids=["a runbook", "none"])
async def test_an_altered_text_is_never_used_and_sound_ones_stay_in_force(forged: str) -> None:
    store = Altered()
    library = Library(store, principals(), ManualClock(MIDNIGHT))
    for person in ("alice", "bob"):
        await accept(library, person)
    await accept(library, "carol", REWORDED)
    assert (await library.accepted()).hash == hash_of(REWORDED)
    store.altered[hash_of(REWORDED)] = forged
    restarted = again(library)
    assert (await restarted.accepted()).hash == hash_of(TEXT)
    with pytest.raises(Refused) as refused:
        await restarted.pinned(hash_of(REWORDED))
    assert refused.value.code == "runbook-altered"
    store.altered[hash_of(TEXT)] = forged
    with pytest.raises(Refused) as nothing:
        await again(library).accepted()
    assert nothing.value.code == "no-runbook-accepted"


async def test_one_key_under_two_names_is_one_person() -> None:
    people = [Principal(name, PrincipalKind.PERSON, name, public_key("alice")) for name in ("alice", "al")]
    library = Library(MemoryRunbooks(), Principals(people, is_signature), ManualClock(MIDNIGHT))
    await library.accept(TEXT.encode(), FILE, "alice", signs("alice"))
    second = await library.accept(TEXT.encode(), FILE, "al", signs("alice"))
    assert (second.accepted_by, second.complete) == (("alice",), False)


async def test_a_text_that_is_no_runbook_is_not_accepted() -> None:
    with pytest.raises(ConfigurationInvalid):
        await accept(empty_library(), "alice", "no runbook at all")


async def test_a_runbook_that_the_store_has_lost_is_named() -> None:
    with pytest.raises(Refused) as refused:
        await empty_library().pinned("c0ffee")
    assert refused.value.code == "runbook-missing"
