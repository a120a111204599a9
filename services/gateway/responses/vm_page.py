"""One page of the list of VMs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from services.gateway.fleet.pagination import Page
from services.gateway.fleet.views import InstanceView
from services.gateway.responses.fields import described
from services.gateway.responses.vms import Vm


class VmPagination(Struct, frozen=True, rename="camel"):
    """Where a page stands in the list.

    一页在列表中的位置。
    """

    page: int
    limit: int
    total: int
    pages: int
    next_cursor: Annotated[
        str | None,
        described(
            "下一页的 `cursor`；最后一页为 null", "`cursor` of the next page; null on the last"
        ),
    ]


class VmPage(Struct, frozen=True):
    """One page of the list; with `fields` each entry has only these.

    列表的一页；给出 `fields` 时每项只有这些字段。
    """

    vms: list[Vm]
    pagination: VmPagination

    @classmethod
    def examples(cls) -> list[VmPage]:
        """Return examples for OpenAPI."""
        return [VmPage(Vm.examples(), VmPagination(1, 10, 25, 3, "WyJ3ZWIiXQ"))]


def pagination_of(taken: Page[InstanceView], limit: int) -> VmPagination:
    """Return where a page stands."""
    return VmPagination(
        page=taken.page,
        limit=limit,
        total=taken.total,
        pages=-(-taken.total // limit),
        next_cursor=taken.next_cursor,
    )
