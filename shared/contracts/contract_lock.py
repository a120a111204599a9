"""Lock the fingerprint of every message, so that none changes without a new version.

`python -m shared.contracts.contract_lock` writes `lock.json` (`make contract-lock`); with `--check`
it compares instead and says what to do (part of `make check`). The idea is nova's object
fingerprints.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from shared.contracts import consoles, events, operations, policies, policy_api, streams, worker_api
from shared.contracts.codec import own_version

FILE = Path(__file__).with_name("lock.json")

MESSAGES: tuple[type[msgspec.Struct], ...] = (
    *events.TYPES.values(),
    operations.Submission,
    operations.Secrets,
    operations.Operation,
    worker_api.OperationPage,
    worker_api.SnapshotList,
    worker_api.InstanceLog,
    policies.Plan,
    policies.SimulationRequest,
    policies.Simulation,
    policies.SnapshotMark,
    policies.RunRequest,
    policies.RunsStarted,
    policies.PolicyRunPage,
    policy_api.PolicyList,
    policy_api.RunQuery,
    policy_api.RunPage,
    policy_api.PlanList,
    consoles.OpenConsole,
    streams.Credit,
    streams.Resize,
    streams.End,
)


def fingerprints() -> dict[str, str]:
    """Return each message's version and a digest of its fields, types and defaults."""
    return {message.__name__: _fingerprint(message) for message in MESSAGES}


def differences(locked: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return a line for each message that differs from the lock, with what to do about it."""
    lines = []
    for name in sorted(locked.keys() | now.keys()):
        before, after = locked.get(name), now.get(name)
        if before == after:
            continue
        if before and after and before.split()[0] == after.split()[0]:
            lines.append(
                f"{name} changed but its version is still {after.split()[0]}: raise the version,"
                " give a new field a default, then run make contract-lock"
            )
        else:
            lines.append(f"{name}: {before or 'new'} -> {after or 'gone'}: run make contract-lock")
    return lines


def _fingerprint(message: type[msgspec.Struct]) -> str:
    schema = json.dumps(on_the_wire(msgspec.json.schema(message)), sort_keys=True)
    return f"{own_version(message)} {hashlib.sha256(schema.encode()).hexdigest()[:16]}"


def on_the_wire(schema: Any) -> Any:
    """Return a schema without what does not affect the wire: docstrings and the order of fields.

    (Python 3.13 indents docstrings differently from 3.12.) The schema of a field that is called
    `description` is a dict, and stays.
    """
    if isinstance(schema, list):
        return [on_the_wire(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: sorted(value) if (name, type(value)) == ("required", list) else on_the_wire(value)
        for name, value in schema.items()
        if name != "description" or not isinstance(value, str)
    }


def main(arguments: list[str]) -> int:
    """Write the lock, or check it; return the exit code."""
    if arguments != ["--check"]:
        FILE.write_text(json.dumps(fingerprints(), indent=2, sort_keys=True) + "\n")
        return 0
    lines = differences(json.loads(FILE.read_text()), fingerprints())
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
