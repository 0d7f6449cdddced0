"""What the platform's admin does with the guardians' keys: resumes, pauses single apps, says who the operators are.

It stands outside any emergency response, for setting scenes and for putting things right after a rehearsal.
"""

from miniapp_platform.accounts import Signatory
from miniapp_platform.chain import Authority, Chain
from miniapp_platform.platform import Platform
from miniapp_platform.script import Argument, Call, Execution, script_hash


class Admin:
    """The two-of-three multi-signature account at work on the PauseRegistry.

    Every method waits for the block. They raise RehearsalFaulted when the registry refuses, and what `Chain.execute`
    raises.
    """

    def __init__(self, platform: Platform, client: Chain) -> None:
        self._account = platform.accounts.admin
        self._registry = script_hash(platform.contracts.pause_registry)
        self._client = client

    async def resume_all(self) -> Execution:
        """Lift the pause of everything; apps that were paused one by one stay so."""
        return await self._call("resumeAll")

    async def set_app_paused(self, app_id: str, *, paused: bool) -> Execution:
        """Pause one app, or lift its own pause."""
        return await self._call("setPaused", paused, app_id)

    async def add_operator(self, account: Signatory) -> Execution:
        """Give an account the right to pause."""
        return await self._call("addOperator", account.script_hash)

    async def remove_operator(self, account: Signatory) -> Execution:
        """Take the right to pause from an account."""
        return await self._call("removeOperator", account.script_hash)

    async def _call(self, method: str, *arguments: Argument) -> Execution:
        call = Call(self._registry, method, arguments, must_be_true=True)
        return await self._client.execute([call], [Authority(self._account, (self._registry,))])
