"""Windows: whatever is added, forgotten and seen again, they say what counting by hand says."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from fakes.chain import GENESIS
from tocsin.detect.windows import Key, Movement, Tally, Window, WindowSpec
from tocsin.domain.hashes import ScriptHash, TxHash

NAMES = st.sampled_from(["a", "b", "c"])
KEYS = st.sampled_from(list(Key))


@dataclass(frozen=True)
class Step:
    """A block so many seconds after the last with these movements, or the last blocks once more."""

    pause_s: int
    movements: list[tuple[str, str, str, str, int]]
    again: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([1, 10, 59, 60, 61, 300]),
        st.lists(st.tuples(NAMES, NAMES, NAMES, NAMES, st.integers(0, 2**250)), max_size=3),
        st.integers(0, 2),
    ),
    max_size=10,
)


def counted(spec: WindowSpec, past: list[Movement], now: Movement) -> Tally:
    """What the window should say, by going through everything that ever happened."""

    def key(movement: Movement, by: Key) -> str:
        return {
            Key.CONTRACT: movement.contract,
            Key.RECIPIENT: movement.recipient,
            Key.SENDER: movement.sender,
            Key.TRANSACTION: movement.tx,
            Key.RULE: "",
        }[by]

    within = [m for m in past if m.at > now.at - spec.over and key(m, spec.by) == key(now, spec.by)]
    distinct = 0 if spec.distinct is None else len({key(m, spec.distinct) for m in within})
    return Tally(sum(m.amount for m in within), len(within), distinct)


def movements(height: int, seconds: int, step: Step) -> list[Movement]:
    at = GENESIS + timedelta(seconds=seconds)
    return [
        Movement(height, at, amount, ScriptHash(c), ScriptHash(r), ScriptHash(s), TxHash(t))
        for c, r, s, t, amount in step.movements
    ]


@given(st.sampled_from([1, 60, 300]), KEYS, st.none() | KEYS, STEPS)
def test_a_window_says_what_counting_by_hand_says(over: int, by: Key, distinct: Key | None, steps: list[Step]) -> None:
    spec = WindowSpec(timedelta(seconds=over), by, distinct)
    window = Window(spec)
    past: list[Movement] = []
    seconds = 0
    for height, step in enumerate(steps):
        seconds += step.pause_s
        block = movements(height, seconds, step)
        for _ in range(1 + step.again):
            window.rewind(height)
            for number, movement in enumerate(block, start=1):
                assert window.add(movement) == counted(spec, [*past, *block[:number]], movement)
        past += block


@given(KEYS, KEYS, STEPS)
def test_a_window_that_is_rewound_to_its_beginning_is_as_good_as_new(by: Key, distinct: Key, steps: list[Step]) -> None:
    spec = WindowSpec(timedelta(days=1), by, distinct)
    window = Window(spec)
    for height, step in enumerate(steps):
        for movement in movements(height, height + 1, step):
            window.add(movement)
    window.rewind(0)
    assert len(window) == 0
    first = Movement(0, GENESIS, 7, ScriptHash("a"), ScriptHash("b"), ScriptHash("c"), TxHash("d"))
    assert window.add(first) == Tally(7, 1, 1)


def test_strangers_can_not_make_a_window_remember_keys_for_ever() -> None:
    window = Window(WindowSpec(timedelta(seconds=10), Key.RECIPIENT, Key.SENDER))
    for second in range(1_000):
        at = GENESIS + timedelta(seconds=second)
        who = ScriptHash(f"{second}")
        tally = window.add(Movement(second, at, 1, ScriptHash("a"), who, who, TxHash("t")))
        assert tally == Tally(1, 1, 1)
    assert len(window) == 10
    assert len(window._figures) == 10
