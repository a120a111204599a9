"""Reports operations: what the journal holds and the broker has not confirmed yet.

Only the newest state of an operation is sent; a reader needs none in between. A failure loses
nothing: the next round begins with what is still unconfirmed.
"""

from __future__ import annotations

from services.lxd_worker.journal.protocol import Journal
from services.lxd_worker.ports import Publish
from shared.contracts.events import OperationChanged

_AT_ONCE = 100


def publish_unconfirmed(journal: Journal, publish: Publish) -> None:
    """Send every operation that is unconfirmed now; later changes signal the next round.

    Raises BrokerUnavailable and DatabaseUnavailable.
    """
    more = True
    while more:
        operations = journal.unconfirmed(_AT_ONCE)
        for operation in operations:
            publish(OperationChanged(operation=operation))
            journal.confirm(operation.operation_id, operation.sequence)
        more = len(operations) == _AT_ONCE
