"""`contract.pause`: stops contracts through the platform's own switch, and proves that user calls really stop.

Which call pauses what, and how to see it, differs between platforms: it is configuration (`PauseBinding`). A pause is
verified by three things: the transaction HALTed with a true result, a quorum of independent nodes reads "paused" at its
height or above, and the *effect probe*, a guarded user call that HALTed before, now FAULTs for the pause's reason.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tocsin.actions.calls import CallSpec, match_manifest
from tocsin.actions.contract import Caller, bind_call, is_true
from tocsin.actions.protocol import Preflight, Receipt
from tocsin.connect.ports import Execution, Invocation, QuorumReading, Signer
from tocsin.domain.actions import Autonomy, Verification
from tocsin.domain.canonical import Json
from tocsin.domain.errors import Refused, Unavailable
from tocsin.domain.hashes import ScriptHash

_NAME = re.compile(r"\{(\w+)\}")
APP_ID = "app_id"
"""The name by which a binding's call takes the one app that it pauses."""

_PAUSED_ALREADY = Receipt(note="was paused already; nothing was sent")


@dataclass(frozen=True, slots=True)
class CallTemplate:
    """A call whose arguments are texts, or `{name}` for a value that the runbook's command line gives."""

    contract: ScriptHash
    method: str
    arguments: tuple[str, ...] = ()

    def captures(self, contract: ScriptHash, method: str, texts: Sequence[str]) -> dict[str, str] | None:
        """The values for the template's names if the call is an instance of it, else None."""
        if (contract, method, len(texts)) != (self.contract, self.method, len(self.arguments)):
            return None
        captured: dict[str, str] = {}
        for pattern, text in zip(self.arguments, texts, strict=True):
            name = _NAME.fullmatch(pattern)
            if (pattern if name is None else captured.setdefault(name[1], text)) != text:
                return None
        return captured

    def filled(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The arguments with every `{name}` replaced."""
        names = ((argument, _NAME.fullmatch(argument)) for argument in self.arguments)
        return tuple(argument if name is None else values[name[1]] for argument, name in names)


@dataclass(frozen=True, slots=True)
class PauseBinding:
    """One way to pause on this platform: the call that does it, the read that shows it, and what it stops.

    `stops` names contracts in words for people ("everything", "app {app_id}"). `paused` and `stops` use no `{name}`
    that `call` does not have.
    """

    name: str
    call: CallTemplate
    paused: CallTemplate
    stops: str


@dataclass(frozen=True, slots=True)
class EffectProbe:
    """A guarded user call, tried as a test invocation: must HALT while open and FAULT with `reason` while paused.

    `bindings` names the pause bindings that stop it. With an `app`, a pause of one app concerns it only if it is this.
    """

    name: str
    call: CallTemplate
    signer: Signer
    reason: str
    bindings: tuple[str, ...]
    app: str | None = None


@dataclass(frozen=True, slots=True)
class PauseInput:
    """The input of `contract.pause`: the call, the read that shows its effect, and the binding both came from.

    `app` is the app that the call names (as `{app_id}`), None where it stops more than one.
    """

    call: CallSpec
    paused: CallSpec
    binding: str
    stops: str
    app: str | None = None


@dataclass(frozen=True, slots=True)
class ContractPause:
    """Pauses contracts and proves it."""

    caller: Caller
    bindings: tuple[PauseBinding, ...]
    probes: tuple[EffectProbe, ...]
    name: ClassVar[str] = "contract.pause"
    autonomy: ClassVar[Autonomy] = Autonomy.ASK_THEN_ACT
    approvals: ClassVar[int] = 1
    changes: ClassVar[bool] = True

    @property
    def input_type(self) -> type[PauseInput]:
        return PauseInput

    async def bind(self, arguments: Mapping[str, Json]) -> PauseInput:
        call = await bind_call(self.caller.reader, arguments)
        texts = [a.text for a in call.arguments]
        for binding in self.bindings:
            values = binding.call.captures(call.contract, call.method, texts)
            if values is not None:
                manifest = await self.caller.reader.manifest(binding.paused.contract)
                paused = match_manifest(manifest, binding.paused.method, binding.paused.filled(values))
                stops = _NAME.sub(lambda name, values=values: values[name[1]], binding.stops)
                return PauseInput(call, paused, binding.name, stops, values.get(APP_ID))
        raise Refused(
            "no-pause-binding",
            f"{call} may pause something, but no [[pause]] entry of the configuration says how to see that it did",
            next_step="add a [[pause]] entry with this call and the read that shows its effect",
            data={"contract": call.contract, "method": call.method},
        )

    async def preflight(self, given: PauseInput) -> Preflight:
        already = await self._is_nothing_to_send(given)
        summary = f"pause {given.stops}: {given.call}"
        if already:
            summary += " (is paused already: nothing would be sent)"
        probes, unproven = await self.probe(given)
        return Preflight(
            summary=summary + unproven,
            before={"paused": already, "probes": probes},
            resources=(f"contract:{given.call.contract}",),
        )

    async def probe(self, given: PauseInput) -> tuple[dict[str, Json], str]:
        """Whether each user call that the pause is to stop works now, by name, and what to say of those untried."""
        probes: dict[str, Json] = {}
        unproven = ""
        for probe in self._probes_of(given):
            try:
                probes[probe.name] = await self._probe_halts(probe)
            except Refused as refused:
                # A probe that can't be formed must not hold up a pause, only its proof; so it says so in the plan.
                probes[probe.name] = False
                unproven += f"; its effect can't be proven: {_untried(probe, refused)}"
        return probes, unproven

    async def _is_nothing_to_send(self, given: PauseInput) -> bool:
        """Whether it is paused already, on the word of a quorum. A pause that would be sent is rehearsed.

        Raises:
            Refused: it is not paused, and the rehearsal says that the pause would fail or not hold.
        """
        reader = self.caller.reader
        one_says_so = self._says_paused(given, await reader.test_invoke([given.paused.invocation()]))
        without_quorum = False
        if one_says_so:
            try:
                reading = await reader.quorum_invoke([given.paused.invocation()], at_least=await reader.height())
            except Unavailable:
                without_quorum = True
            else:
                if self._says_paused(given, reading.execution):
                    return True
        try:
            await self._rehearse(given)
        except Refused:
            # Too few to believe it, and a second pause would FAULT, as that of many contracts does.
            if without_quorum:
                return True
            raise
        return False

    def _says_paused(self, given: PauseInput, execution: Execution) -> bool:
        if not execution.halted:
            raise Refused(
                "pause-unreadable",
                f"{given.paused} can't be read, so nobody could see that the pause holds: {execution.exception}",
                next_step=f"mend `paused` in the [[pause]] entry {given.binding!r}",
                data={"call": str(given.paused), "exception": execution.exception},
            )
        return bool(execution.stack) and is_true(execution.stack[0])

    async def _rehearse(self, given: PauseInput) -> None:
        execution = await self.caller.rehearse(given.call, given.paused.invocation())
        if not (len(execution.stack) > 1 and is_true(execution.stack[1])):
            raise Refused(
                "pause-would-not-hold",
                f"{given.call} would run, but {given.paused} would still say that nothing is paused",
                next_step="check which contract and method pause this platform, in the runbook and in [[pause]]",
                data={"call": str(given.call)},
            )

    async def run(self, key: str, given: PauseInput, before: Mapping[str, Json]) -> Receipt:
        if before.get("paused") is True:
            return _PAUSED_ALREADY
        return await self.caller.send(key, given.call)

    async def recall(self, key: str, given: PauseInput, before: Mapping[str, Json]) -> Receipt | None:
        sent = await self.caller.recall(key)
        return _PAUSED_ALREADY if sent is None and before.get("paused") is True else sent

    async def verify(self, key: str, given: PauseInput, before: Mapping[str, Json], receipt: Receipt) -> Verification:
        included = None if receipt.tx is None else (await self.caller.settle(key, given.call, receipt)).height
        height = await self.caller.reader.height() if included is None else included
        reading = await self.caller.reader.quorum_invoke([given.paused.invocation()], at_least=height)
        execution = reading.execution
        if not (execution.halted and execution.stack and is_true(execution.stack[0])):
            return Verification(
                False,
                f"{given.paused} says that nothing is paused at height {reading.height}",
                reading.height,
                reading.quorum,
                included_at=included,
            )
        stopped, sentence = await self._effect(given, before, reading)
        return Verification(
            stopped,
            f"{given.stops} is paused at height {reading.height}" + ("" if stopped else f", but {sentence}"),
            reading.height,
            reading.quorum,
            sentence,
            included,
            partial=not stopped,
        )

    async def compensate(self, key: str, given: PauseInput, before: Mapping[str, Json], receipt: Receipt) -> Receipt:
        raise Refused(
            "resume-needs-the-admin",
            f"the pause key can only pause; {given.stops} is resumed by the platform's admin",
            next_step="resume with the admin's multi-signature account, after the checklist and with two people",
        )

    def _probes_of(self, given: PauseInput) -> tuple[EffectProbe, ...]:
        return tuple(
            probe
            for probe in self.probes
            if given.binding in probe.bindings and (None in (given.app, probe.app) or given.app == probe.app)
        )

    async def _probe_call(self, probe: EffectProbe) -> Invocation:
        manifest = await self.caller.reader.manifest(probe.call.contract)
        return match_manifest(manifest, probe.call.method, probe.call.arguments).invocation()

    async def _probe_halts(self, probe: EffectProbe) -> bool:
        return (await self.caller.reader.test_invoke([await self._probe_call(probe)], [probe.signer])).halted

    async def _effect(
        self, given: PauseInput, before: Mapping[str, Json], reading: QuorumReading
    ) -> tuple[bool, str | None]:
        """Whether the guarded user calls really stopped, and the sentence that says it (None: no probe is bound)."""
        stood = before.get("probes")
        sentences: list[str] = []
        shown = before.get("paused") is True
        for probe in self._probes_of(given):
            try:
                call = await self._probe_call(probe)
            except Refused as refused:
                return False, _untried(probe, refused)
            now = (await self.caller.reader.quorum_invoke([call], [probe.signer], at_least=reading.height)).execution
            if now.halted:
                return False, f"{probe.name} still works"
            if probe.reason not in (now.exception or ""):
                return False, f"{probe.name} is refused for another reason: {now.reason}"
            worked = isinstance(stood, Mapping) and stood.get(probe.name) is True
            shown = shown or worked
            was = "worked before" if worked else "was refused before as well"
            sentences.append(f"{probe.name}: {was}, now refused ({now.reason})")
        if sentences and not shown:
            return False, f"no user call shows it: {'; '.join(sentences)}"
        return True, "; ".join(sentences) or None


def _untried(probe: EffectProbe, refused: Refused) -> str:
    return f"{probe.name} can't be tried: {refused.message}"
