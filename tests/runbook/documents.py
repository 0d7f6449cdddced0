"""Runbooks for these tests: the real one, and a small one to take apart."""

import hashlib
from pathlib import Path

RUNBOOK_PATH = Path(__file__).parents[2] / "runbooks" / "EMERGENCY_RUNBOOK.md"
RUNBOOK_SHA256 = "323fb1958b9fbf3f2e39f3baf5b00a0670d5f151474d15f03ebe7695822c712c"
RUNBOOK_BYTES = RUNBOOK_PATH.read_bytes()
RUNBOOK_TEXT = RUNBOOK_BYTES.decode()

SEVERITIES = """\
# Small Runbook

## Severity Levels

| Level | Name     | Response Time | Examples   |
| ----- | -------- | ------------- | ---------- |
| P0    | Critical | 15 min        | funds lost |
| P2    | Medium   | 4 hours       | slow pages |
"""


def small(steps: str = "1. **Pause** (5 minutes)\n", before: str = "", after: str = "") -> str:
    """A small runbook with one emergency: `before` stands in front of its immediate actions, `after` at the end.

    Its steps begin in line 16 when `before` is empty.
    """
    return f"{SEVERITIES}\n## Emergencies\n\n### 1. Exploit (P0)\n{before}\n**Immediate Actions:**\n\n{steps}\n{after}"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
