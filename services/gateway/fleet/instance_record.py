"""One instance of the fleet view."""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from services.gateway.fleet.capacity import Amount, commitment_of
from services.gateway.fleet.change_set import ChangeCollector, InstanceKey
from services.gateway.fleet.encoded_protection import NOT_REPORTED, InstanceProtection
from services.gateway.fleet.encoded_samples import SampleHead
from services.gateway.fleet.memory_budget import size_of
from services.gateway.fleet.views import Derived, InstanceView
from shared.contracts.instances import Instance
from shared.contracts.status import is_alive

# The order of an instance's states: the worker's epoch, then the instance's revision in it.
Order = tuple[int, int]


class InstanceRecord:
    """One instance of one host: its newest state and the sample of its present run.

    `changed_at` is the Unix time of the last change seen; None: none yet. `size` and `sample_size`
    are bytes, `commitment` is the sum of its limits.
    """

    __slots__ = (
        "_addresses",
        "_view",
        "changed_at",
        "changes",
        "commitment",
        "derived",
        "duplicate",
        "foreign_note",
        "instance",
        "order",
        "protection",
        "sample",
        "sampled_at",
        "size",
        "sort_key",
    )

    def __init__(
        self, host: str, instance: Instance, order: Order, changed_at: float | None = None
    ) -> None:
        self.sort_key: InstanceKey = (instance.name, host, instance.project)
        self.instance = instance
        self.order = order
        self.changed_at = changed_at
        self.size = size_of(instance)
        self.commitment: Amount = commitment_of(instance)
        self.protection: InstanceProtection = NOT_REPORTED
        self.sample: Raw | None = None
        self._addresses: Raw | None = None
        self.sampled_at: str | None = None
        self.duplicate = False
        self.foreign_note = False
        self.derived = Derived()
        # Set by the index that holds the record.
        self.changes: ChangeCollector | None = None
        self._view: InstanceView | None = None

    @property
    def host(self) -> str:
        """The id of its host."""
        return self.sort_key[1]

    def update(self, instance: Instance, order: Order, now: float) -> bool:
        """Update to a newer state; return whether readers see a difference."""
        differs = replace(self.instance, revision=instance.revision) != instance
        self.instance, self.order = instance, order
        if differs:
            self.changed_at = now
            self._invalidate()
            self.size, self.commitment = size_of(instance), commitment_of(instance)
        if not is_alive(instance.status):
            self.clear_sample()
        return differs

    @property
    def sample_size(self) -> int:
        """The bytes of its sample."""
        return 0 if self.sample is None else len(self.sample)

    def set_sample(self, head: SampleHead, body: Raw, at: str) -> None:
        """Set the sample, measured at this time."""
        self._replace_sample(body, head.addresses, at)

    def clear_sample(self) -> bool:
        """Drop the sample; return whether there was one."""
        had_one = self.sample is not None
        if had_one:
            self._replace_sample(None, None, None)
        return had_one

    def _replace_sample(self, body: Raw | None, addresses: Raw | None, at: str | None) -> None:
        moved = self._addresses != addresses
        # The encoded addresses too, even if they are equal: they would hold the earlier message.
        self.sample, self._addresses, self.sampled_at = body, addresses, at
        self._view = None
        if moved:
            self._invalidate()

    def set_duplicate(self, *, duplicate: bool) -> None:
        """Set whether another record holds its uuid."""
        if self.duplicate is not duplicate:
            self.duplicate = duplicate
            self._invalidate()

    def set_foreign_note(self, *, foreign_note: bool) -> None:
        """Set whether its note may be that of another instance (see `note_ownership`)."""
        if self.foreign_note is not foreign_note:
            self.foreign_note = foreign_note
            self._invalidate()

    def view(self) -> InstanceView:
        """Return the view; the same object until something changes."""
        if self._view is None:
            self._view = InstanceView(
                host=self.host,
                instance=self.instance,
                encoded_sample=self.sample,
                sampled_at=self.sampled_at,
                duplicate=self.duplicate,
                foreign_note=self.foreign_note,
                changed_at=self.changed_at,
                derived=self.derived,
            )
        return self._view

    def _invalidate(self) -> None:
        self._view, self.derived = None, Derived()
        if self.changes is not None:
            self.changes.instances.add(self.sort_key)
