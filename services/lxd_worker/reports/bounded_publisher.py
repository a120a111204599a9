"""The last look at what is sent: whoever reads it must be able to decode it."""

from __future__ import annotations

from dataclasses import dataclass

from services.lxd_worker.ports import Omission, Omit, Publish
from shared.contracts.events import NAMES, Event
from shared.contracts.fitting import Unfit, fit_message


@dataclass(frozen=True, slots=True)
class BoundedPublisher:
    """Sends events within the bounds of their contract, as `Publish`; see `fit_message`.

    An event of which nothing can be made is not sent.
    """

    publish: Publish
    omit: Omit

    def __call__(self, event: Event) -> None:
        """Send an event; errors as `Publish`."""
        name = NAMES[type(event)]
        try:
            fitting, left_out = fit_message(event)
        except Unfit as exc:
            self.omit(Omission.MESSAGE, name, str(exc))
            return
        if left_out:
            self.omit(Omission.FIELDS, name, ", ".join(left_out))
        self.publish(fitting)
