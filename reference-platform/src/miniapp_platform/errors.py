"""What can go wrong with the platform, as types. Every module raises these, never another library's."""


class PlatformError(Exception):
    """Base of everything that this package raises on purpose."""


class StartFailed(PlatformError):
    """The platform did not come up; what had been started was stopped again."""


class PortClash(StartFailed):
    """Somebody else took a port between choosing and using it; choose others and try again."""


class NodeFailed(StartFailed):
    """A node ended, or did not answer in time. The message carries the end of its log."""


class PreparedFolderUnusable(StartFailed):
    """The prepared chain folder is missing, damaged, or was made by other contracts or another format."""


class ChainUnreachable(PlatformError):
    """The node did not answer: not listening, frozen, or gone in the middle. Whether it took the request is unknown."""


class RpcError(PlatformError):
    """The node answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(f"{message} ({code}){': ' + data if data else ''}")
        self.code = code
        self.data = data


class RehearsalFaulted(PlatformError):
    """The test invocation before sending ended in FAULT; nothing was sent."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"the test invocation ended in FAULT: {fault}")
        self.fault = fault


class TransactionFaulted(PlatformError):
    """The transaction was included and ended in FAULT: its fee is spent, and nothing else happened."""

    def __init__(self, transaction: str, fault: str) -> None:
        super().__init__(f"transaction {transaction} ended in FAULT: {fault}")
        self.transaction = transaction
        self.fault = fault


class NotIncluded(PlatformError):
    """The transaction was in no block until its validity ended or the wait was over."""
