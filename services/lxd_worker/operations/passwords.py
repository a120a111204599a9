"""A new password: set inside the guest, then written down where one was noted.

Only memory holds it. So LXD is asked here, and has done it when it answers: what became of a step
that was cut off, nobody can find out later.
"""

from __future__ import annotations

from services.lxd_worker.creation.admission import Secrets
from services.lxd_worker.creation.cloud_init import ROOT_PASSWORD
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.ports import Lxd
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import StepInterrupted

PASSWORD_STEPS = (Step.SET_PASSWORD, Step.NOTE_PASSWORD)


def take_password_step(step: Step, entry: JournalEntry, lxd: Lxd, secrets: Secrets) -> None:
    """Take one of the steps; return when it is done.

    Raises StepInterrupted when the password went with an earlier run of this worker; else errors as
    `Lxd.set_password` and `Lxd.note_password`.
    """
    operation = entry.operation
    password = secrets.get(operation.operation_id, {}).get(ROOT_PASSWORD)
    if password is None:
        raise StepInterrupted(step.value)
    if step is Step.SET_PASSWORD:
        lxd.set_password(operation.project, operation.instance, password)
    else:
        lxd.note_password(operation.project, operation.instance, password)
