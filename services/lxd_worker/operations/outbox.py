"""Reporting operations: what the journal has written and the broker has not confirmed yet.

Only the newest state of an operation is sent; whoever reads it needs none in between. After a
failure nothing is lost: the next round begins with what is still unconfirmed.
"""

from __future__ import annotations

from services.lxd_worker.ports import Journal, Publish
from shared.contracts.events import OperationChanged

_AT_ONCE = 100


def report_operations(journal: Journal, publish: Publish) -> None:
    """Send every operation that is unconfirmed now; what changes meanwhile rings for the next time.

    Raises BrokerUnavailable and DatabaseUnavailable.
    """
    more = True
    while more:
        operations = journal.unconfirmed(_AT_ONCE)
        for operation in operations:
            publish(OperationChanged(operation=operation))
            journal.confirm(operation.operation_id, operation.sequence)
        more = len(operations) == _AT_ONCE
