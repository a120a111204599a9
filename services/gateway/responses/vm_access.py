"""How to get at a VM's console, and what LXD wrote when it was started."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from services.gateway.responses.fields import described, one_of


class VmConsole(Struct, frozen=True, kw_only=True):
    """The address of a VM's console, for one connection within 30 seconds.

    虚拟机控制台的地址，30 秒内可用于一个连接。
    """

    type: Annotated[
        str,
        one_of("exec", "console", "spice"),
        described(
            "字节流的内容：shell、文本控制台，或虚拟机屏幕的一个 SPICE 通道",
            "What the stream of bytes is: a shell, the text console, or one SPICE channel of the "
            "virtual machine's screen",
        ),
    ]
    host: Annotated[str, described("网关的地址", "Address of the gateway")]
    port: int
    password: Annotated[
        str,
        described(
            "一次性密码：30 秒内有效，只用于此实例的一个连接",
            "One-time password: for 30 seconds, and for one connection to this instance",
        ),
    ]
    url: Annotated[
        str,
        described("WebSocket 地址，已含密码", "Address of the WebSocket, with the password in it"),
    ]

    @classmethod
    def examples(cls) -> list[VmConsole]:
        """Return examples for OpenAPI."""
        address = "ws://localhost:3000/console/vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11"
        return [
            VmConsole(
                type="exec",
                host="localhost",
                port=3000,
                password="console123",  # noqa: S106 - the document's own
                url=f"{address}?password=console123",
            )
        ]


class VmLog(Struct, frozen=True):
    """The log of the last start.

    最近一次启动的日志。
    """

    log: Annotated[
        str,
        described(
            "容器为 lxc.log，虚拟机为 qemu.log；启动正常时可为空",
            "`lxc.log` of a container, `qemu.log` of a virtual machine; it may be empty after a "
            "good start",
        ),
    ]
    truncated: Annotated[bool, described("true：只有末尾部分", "true: this is only the end of it")]

    @classmethod
    def examples(cls) -> list[VmLog]:
        """Return examples for OpenAPI."""
        line = (
            "lxc web 20260123033000.123 ERROR start - start.c:start:2197 - No such file or "
            'directory - Failed to exec "/sbin/init"'
        )
        return [VmLog(line, truncated=False)]
