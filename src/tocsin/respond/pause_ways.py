"""Which of the configured bindings pauses everything, and which one app: what `tocsin pause` may be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from tocsin.actions.pause import PauseBinding
from tocsin.domain.bundles import PauseTarget
from tocsin.domain.canonical import Json
from tocsin.domain.errors import ConfigurationInvalid, Refused


@dataclass(frozen=True, slots=True)
class PauseWays:
    """The bindings that may be meant by "everything" and by "one app" (one each, if that is clear), and known apps."""

    everything: tuple[PauseBinding, ...]
    one_app: tuple[PauseBinding, ...]
    apps: tuple[str, ...]

    def targets(self) -> tuple[PauseTarget, ...]:
        """Everything that can be paused, the whole before the apps."""
        apps = self.apps if self.one_app else ()
        return (*([PauseTarget()] if self.everything else []), *(PauseTarget(app) for app in apps))

    def arguments(self, target: PauseTarget, reason: str) -> Mapping[str, Json]:
        """The pause call for this target, as `ContractPause.bind` takes it.

        Raises:
            ConfigurationInvalid: it is not clear which binding pauses that, or its call wants a value unknown here.
            Refused: the app is unknown.
        """
        binding = self.binding(target)
        values = {"reason": reason} if target.app is None else {"reason": reason, "app_id": target.app}
        try:
            texts = binding.call.filled(values)
        except KeyError as error:
            raise ConfigurationInvalid(
                "pause-binding-unfilled",
                f"the [[pause]] entry {binding.name!r} wants a value for {{{error.args[0]}}}, which is not known here",
                next_step="bind a call that needs at most {reason} and, for one app, {app_id}",
            ) from error
        return {"contract": binding.call.contract, "method": binding.call.method, "args": list(texts)}

    def binding(self, target: PauseTarget) -> PauseBinding:
        """The binding that pauses this target.

        Raises:
            ConfigurationInvalid: it is not clear which one does.
            Refused: the app is unknown.
        """
        scope, what = ("all", "everything") if target.app is None else ("app", "one app")
        candidates = self.everything if target.app is None else self.one_app
        if len(candidates) != 1:
            named = " and ".join(repr(binding.name) for binding in candidates)
            raise ConfigurationInvalid(
                "pause-binding-unclear",
                f"it is not clear which [[pause]] entry pauses {what}: {named or 'none'} would do",
                next_step=f'give the right one `scope = "{scope}"`',
            )
        if target.app is not None and target.app not in self.apps:
            near = get_close_matches(target.app, self.apps, n=1)
            known = f"its apps are {', '.join(self.apps)}" if self.apps else "give a contract its `app` in [contracts]"
            raise Refused(
                "app-unknown",
                f"the configuration knows no app {target.app!r}",
                next_step=f"did you mean {near[0]}?" if near else known,
                data={"app": target.app, "known": list(self.apps)},
            )
        return candidates[0]
