"""What a worker checks of a command before it looks at its LXD."""

from __future__ import annotations

import math
from collections.abc import Mapping

from services.lxd_worker.creation.cloud_init import ROOT_PASSWORD, check_user_data
from services.lxd_worker.instances.validation import check_arguments, check_name, check_password
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.transitions.rebuild import SWAP_KINDS
from shared.contracts.errors import (
    InstanceReplaced,
    InvalidInput,
    OperationExpired,
    OperationInProgress,
)
from shared.contracts.operations import Kind, Operation, Submission
from shared.lxd.scope import LxdScope

TAKES_SECRETS = (Kind.CREATE, Kind.PASSWORD)
_LONGEST_S = 24 * 3600


def check_submission(submission: Submission, host: str, scope: LxdScope, now: float) -> None:
    """Raise InvalidInput or OperationExpired for what this host's worker does not accept."""
    if submission.host != host:
        raise InvalidInput("host", f"this worker serves {host}")
    if not scope.serves(submission.project):
        raise InvalidInput("project", "one of those that this host's worker serves")
    check_name(submission.instance)
    check_arguments(submission.kind, submission.arguments)
    _check_durations(submission)
    if start_by(submission, now) < now:
        raise OperationExpired(submission.operation_id)


def start_by(submission: Submission, now: float) -> float:
    """Return until when a command may begin, as Unix time by this host's own clock.

    A gateway's clock may differ; of an earlier release's command its time is all that there is.
    """
    if submission.start_within_s is None:
        return _unix_time(submission.start_by)
    return now + submission.start_within_s


def check_chained(submission: Submission, creation: Operation) -> None:
    """Raise InstanceReplaced or OperationInProgress if a command cannot wait for a creation."""
    if submission.uuid != creation.uuid:
        raise InstanceReplaced(submission.instance)
    changes = submission.arguments.changes
    if submission.kind in SWAP_KINDS or (changes and changes.forwards is not None):
        raise OperationInProgress(submission.instance, creation.operation_id)


def check_secrets(entry: JournalEntry, secrets: Mapping[str, str]) -> None:
    """Raise InvalidInput for secrets that the guest could not use."""
    if not entry.awaits_secrets:
        return
    if entry.operation.kind is Kind.PASSWORD:
        check_password(secrets.get(ROOT_PASSWORD, ""))
    elif new := entry.operation.arguments.create:
        check_user_data(new.ssh_keys, secrets)


def _check_durations(submission: Submission) -> None:
    for name, seconds in (
        ("timeout_s", submission.timeout_s),
        ("stop_timeout_s", submission.arguments.stop_timeout_s),
    ):
        if not 0 <= seconds <= _LONGEST_S:
            raise InvalidInput(name, f"0-{_LONGEST_S} seconds")


def _unix_time(text: str) -> float:
    try:
        moment = float(text)
    except ValueError:
        moment = math.nan
    if not math.isfinite(moment):
        raise InvalidInput("start_by", "Unix time in seconds, as text")
    return moment
