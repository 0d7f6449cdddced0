"""The command lines by which people act on an incident, so that every sentence names the same ones.

Carrying them out is the command line's job; here they are only words. Choices, alternatives and items count from 0, as
in the events and in the names of runs.
"""

REASON = '--reason "…"'


def acknowledge(incident: str) -> str:
    return f"tocsin ack {incident}"


def approve(run: str, plan_hash: str | None = None) -> str:
    """With the plan's hash the approval is only given if that plan still stands when the line is typed."""
    return f"tocsin approve {run}" if plan_hash is None else f"tocsin approve {run} --plan {plan_hash[:12]}"


def run_step(incident: str, step: int, *options: str) -> str:
    return " ".join((f"tocsin step run {incident} {step}", *options))


def skip_step(incident: str, step: int) -> str:
    return f"tocsin step skip {incident} {step} {REASON}"


def answer(incident: str, step: int) -> str:
    return f"tocsin step answer {incident} {step} yes|no"


def tick(incident: str, step: int, item: int | str) -> str:
    return f"tocsin step tick {incident} {step} {item}"


def done_by_hand(incident: str, step: int, choice: int, alternative: int) -> str:
    return f'tocsin step done {incident} {step} "…" --choice {choice} --alternative {alternative}'


def resolve(incident: str) -> str:
    return f"tocsin resolve {incident} {REASON}"


def close_as_false_alarm(incident: str) -> str:
    return f"tocsin close --false-alarm {incident} {REASON}"


def reopen(incident: str) -> str:
    return f"tocsin reopen {incident} {REASON}"


def show(incident: str) -> str:
    return f"tocsin incident {incident}"
