"""What to run a snapshot policy for now, and what to simulate of one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.gateway.bilingual import both
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.request_models.policies import POLICY, PolicyBody
from services.gateway.http.request_models.schema import Camel, with_example
from services.gateway.http.request_models.values import Number
from shared.contracts.policies import MOST_DAYS

# A host may answer with some thousand entries of each, which are decoded on the event loop.
MOST_VMS = 20
DAYS, VMS = 30, 5

VmChoice = Annotated[str, Field(min_length=1, max_length=255), WithoutControls]
Moment = Annotated[str, Field(max_length=30, pattern=r"^[0-9TZ:.+-]+$"), WithoutControls]
Days = Annotated[int, Field(ge=0, le=MOST_DAYS)]
VmLimit = Annotated[int, Field(ge=1, le=MOST_VMS)]


class PolicyRunNow(Camel):
    """What to run a policy for now.

    立即执行策略的范围。
    """

    model_config = with_example({"vm": "vm-001"})
    vm: VmChoice | None = Field(
        None,
        description=both("仅此虚拟机；默认为选中的全部", "Only this VM; by default all selected"),
    )
    at: Moment | None = Field(
        None,
        description=both(
            "请求的时间，默认为现在；同一时间的重复请求不会再次执行",
            "Time of the request, by default now; the same time again starts nothing twice",
        ),
    )


class PolicySimulationRequest(Camel):
    """A policy, which need not exist, and what to simulate of it.

    要模拟的策略（不必已存在）及范围。
    """

    model_config = with_example({"policy": POLICY, "days": 30})
    policy: PolicyBody
    days: Annotated[Days, Number] = DAYS
    vm: VmChoice | None = Field(None, description=both("仅此虚拟机", "Only this VM"))
    limit: Annotated[VmLimit, Number] = Field(
        VMS, description=both("虚拟机的数量上限", "VMs at most")
    )
