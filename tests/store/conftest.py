"""What the tests of the store share: an open store in a folder of its own."""

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tocsin.store.database import Database, open_database
from tocsin.store.schema import create_file, sqlite_url

pytest.register_assert_rewrite("conformance.event_log", "conformance.outbox", "conformance.repositories")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store's file. Copied, not used: copying is quicker than creating."""
    path = tmp_path_factory.mktemp("empty") / "tocsin.sqlite"
    create_file(path)
    return path


@pytest.fixture
def store_path(empty_store: Path, tmp_path: Path) -> Path:
    """The file of a store of one's own, with nothing in it."""
    return Path(shutil.copy(empty_store, tmp_path / "tocsin.sqlite"))


@pytest.fixture
async def database(store_path: Path) -> AsyncGenerator[Database]:
    async with await open_database(sqlite_url(store_path)) as database:
        yield database
