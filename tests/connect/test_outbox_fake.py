"""The outbox that other tests rely on is held to the suite of the real one."""

import pytest

from conformance.outbox import OutboxConformance
from fakes.outbox import MemoryOutbox
from tocsin.connect.ports import Outbox


class TestMemoryOutbox(OutboxConformance):
    @pytest.fixture
    def outbox(self) -> Outbox:
        return MemoryOutbox()
