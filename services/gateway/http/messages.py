"""Every text that a caller may read, by code, in both languages.

Chinese is the document's language and the default; where the document writes a text, it stands
here letter for letter. A text may use the values of what it speaks of by name.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["zh", "en"]


class Text(NamedTuple):
    """One text in both languages."""

    zh: str
    en: str


def say(code: str, language: Language, **values: object) -> str:
    """Return the text of a code; a code without a text is a bug (KeyError)."""
    template: str = getattr(TEXTS[code], language)
    return template.format_map(values)


_ERRORS = {
    "host_unreachable": Text(
        "LXD服务不可用：主机 {host} 未连接", "LXD is not available: host {host} is not connected"
    ),
    "lxd_unavailable": Text("LXD服务不可用", "LXD is not available"),
    "broker_unavailable": Text(
        "消息服务不可用，请稍后重试", "The message broker is not connected; try again later"
    ),
    "database_unavailable": Text(
        "数据库不可用，请稍后重试", "The database does not answer; try again later"
    ),
    "fleet_view_not_ready": Text("LXD服务不可用", "The fleet is still being read; try again soon"),
    "operation_in_progress": Text(
        "实例 {instance} 正在执行另一个操作 {operation_id}",
        "Another operation, {operation_id}, is in progress on instance {instance}",
    ),
    "outcome_unknown": Text(
        "主机 {host} 没有应答，结果未知", "Host {host} did not answer; the outcome is unknown"
    ),
    "host_busy": Text(
        "主机 {host} 未完成的操作过多，请稍后重试",
        "Host {host} has too many unfinished operations; try again later",
    ),
    "too_many_consoles": Text(
        "主机 {host} 已打开 {most} 个控制台，不能再打开",
        "Host {host} has {most} consoles open and allows no more",
    ),
    "console_in_use": Text(
        "实例 {name} 的文本控制台正被使用", "The text console of instance {name} is in use"
    ),
    "stream_lost": Text("连接已中断：{reason}", "The connection was lost: {reason}"),
    "invalid_input": Text("{field}：{rule}", "{field}: {rule}"),
    "unreadable_message": Text(
        "主机的应答无法识别，请检查版本", "The host's answer cannot be read; check its version"
    ),
    "idempotency_key_reused": Text(
        "Idempotency-Key {key} 已用于另一个请求",
        "Idempotency-Key {key} was used for another request",
    ),
    "host_not_found": Text("主机 {host} 不存在", "Host {host} does not exist"),
    "host_identity_mismatch": Text(
        "主机 {host} 的证书与首次登记的不一致",
        "Host {host} reports with another certificate than the one it is pinned to",
    ),
    "host_still_online": Text(
        "主机 {host} 仍在线，请先停止其工作进程", "Host {host} is online; stop its worker first"
    ),
    "instance_not_found": Text("实例 {name} 不存在", "Instance {name} does not exist"),
    "ambiguous_name": Text(
        "多台主机上都有实例 {name}：{hosts}；请用 ?host= 指定",
        "Instance {name} exists on several hosts: {hosts}; choose one with ?host=",
    ),
    "ambiguous_project": Text(
        "主机 {host} 的多个项目中都有实例 {name}：{projects}；请用 ?project= 指定",
        "Instance {name} exists in several projects of host {host}: {projects}; choose one with "
        "?project=",
    ),
    "ambiguous_vm": Text(
        "有多台虚拟机名为 {name}：{ids}；请用 id 指定",
        "Several VMs are called {name}: {ids}; use the id of one",
    ),
    "instance_replaced": Text(
        "实例 {name} 已被重新创建，请刷新后重试",
        "Instance {name} was re-created since it was listed; look again first",
    ),
    "instance_running": Text("实例 {name} 正在运行", "Instance {name} is running"),
    "instance_not_running": Text("实例 {name} 未在运行", "Instance {name} is not running"),
    "instance_not_frozen": Text("实例 {name} 未暂停", "Instance {name} is not paused"),
    "instance_exists": Text("实例 {name} 已存在", "An instance {name} exists already"),
    "instance_changed_since": Text(
        "实例 {name} 在读取之后已被更改，请重新读取",
        "Instance {name} was changed since it was read; read it again",
    ),
    "insufficient_resources": Text(
        "主机 {host} 资源不足：{resource} 需要 {wanted}，剩余 {free}",
        "Host {host} lacks resources: {wanted} of {resource} wanted, {free} left",
    ),
    "no_host_fits": Text("没有主机能容纳：{summary}", "No host can take it: {summary}"),
    "no_host_for_now": Text(
        "暂时没有主机能容纳，请稍后重试：{summary}",
        "No host can take it at the moment; try again later: {summary}",
    ),
    "port_in_use": Text(
        "主机 {host} 的端口 {port} 已被占用", "Port {port} of host {host} is in use"
    ),
    "image_not_found": Text("镜像 {image} 不可用", "Image {image} cannot be had"),
    "snapshot_not_found": Text(
        "实例 {name} 没有快照 {snapshot}", "Instance {name} has no snapshot {snapshot}"
    ),
    "snapshot_exists": Text(
        "实例 {name} 已有快照 {snapshot}", "Instance {name} has a snapshot {snapshot} already"
    ),
    "log_not_found": Text("实例 {name} 没有启动日志", "LXD keeps no log of instance {name}"),
    "password_not_set": Text(
        "实例 {name} 的密码未能设置：{reason}",
        "The password of instance {name} was not set: {reason}",
    ),
    "trash_not_found": Text(
        "实例 {name} 没有可恢复的旧系统",
        "Nothing is kept of what instance {name} was before a rebuild",
    ),
    "operation_not_found": Text("操作 {operation_id} 不存在", "Operation {operation_id} not found"),
    "operation_refused": Text(
        "操作 {operation_id} 未能送达主机，没有执行",
        "Operation {operation_id} did not reach the host and was not carried out",
    ),
    "operation_expired": Text(
        "操作 {operation_id} 送达过迟，没有执行",
        "Operation {operation_id} reached the host too late and was not carried out",
    ),
    "operation_not_cancellable": Text(
        "操作 {operation_id} 无法取消", "Operation {operation_id} cannot be cancelled"
    ),
    "lxd_busy": Text(
        "LXD正在对实例执行其他操作，请稍后重试：{reason}",
        "LXD is busy with the instance, try again soon: {reason}",
    ),
    "lxd_refused": Text("LXD拒绝了请求：{reason}", "LXD refused: {reason}"),
    "no_effect": Text(
        "LXD 报告 {step} 已完成，但实际没有生效",
        "LXD says that {step} is done, but it had no effect",
    ),
    "step_interrupted": Text(
        "{step} 被中断，没有生效，请重试", "{step} was interrupted and had no effect; try again"
    ),
    "step_timed_out": Text("{step} 超时，没有生效", "{step} did not finish in time"),
    "secrets_not_received": Text(
        "操作 {operation_id} 的机密数据未按时送达，没有执行，请重试",
        "The secrets of operation {operation_id} did not arrive in time; it was not carried out, "
        "try again",
    ),
    "worker_outdated": Text(
        "主机 {host} 的工作进程版本过旧，请升级",
        "The worker of host {host} is too old for this; update it",
    ),
    "worker_failed": Text(
        "主机 {host} 的工作进程出错：{reason}", "The worker of host {host} failed: {reason}"
    ),
    "cancelled": Text("操作已取消", "The operation was cancelled"),
    "operation_unknown": Text(
        "操作 {operation_id} 的结果未知，请人工检查实例",
        "The outcome of operation {operation_id} is unknown; the instance needs attention",
    ),
    "unauthorized": Text("需要有效的API令牌", "A valid API token is required"),
    "origin_not_allowed": Text(
        "不允许来源 {origin}；见 FLEET_ALLOWED_ORIGINS",
        "Origin {origin} is not allowed; see FLEET_ALLOWED_ORIGINS",
    ),
    "host_header_not_allowed": Text(
        "没有令牌时不能以 {host} 访问；请用绑定的地址，或将其来源列入 FLEET_ALLOWED_ORIGINS",
        "Without a token the gateway does not answer as {host}; use its bound address, or name its "
        "origin in FLEET_ALLOWED_ORIGINS",
    ),
    "body_too_large": Text(
        "请求体超过 {limit} 字节", "The request body is larger than {limit} bytes"
    ),
    "media_type_not_supported": Text(
        "请求体必须是 application/json", "The request body must be application/json"
    ),
    "head_too_large": Text(
        "请求头超过 {limit} 字节，或字段过多",
        "The request's head is larger than {limit} bytes, or has too many fields",
    ),
    "uri_too_long": Text(
        "请求地址超过 {limit} 字节", "The request's address is longer than {limit} bytes"
    ),
    "request_timeout": Text("请求未及时到达", "The request did not arrive in time"),
    "too_many_connections": Text(
        "打开的连接过多，请稍后重试", "Too many connections are open; try again later"
    ),
    "route_not_found": Text("路径 {path} 不存在", "There is nothing at {path}"),
    "method_not_allowed": Text("{path} 不支持 {method}", "{path} does not support {method}"),
    "not_ready": Text("网关未就绪：{missing}", "The gateway is not ready: {missing}"),
    "not_sampled": Text("主机 {host} 没有最新的测量数据", "Host {host} has no new sample"),
    "bad_request": Text("请求有误", "The request is malformed"),
    "internal_error": Text("服务器内部错误", "Internal server error"),
}

_RULES = {
    "no_screen": Text("容器没有屏幕", "a container has no screen"),
    "instance_name": Text(
        "实例名称须为1到63个ASCII字母、数字或连字符，不能以数字或连字符开头，不能以连字符结尾",
        "an instance name has 1-63 ASCII letters, digits or hyphens, does not start with a digit "
        "or a hyphen and does not end with a hyphen",
    ),
    "missing": Text("必须提供", "is required"),
    "string_type": Text("须为文本", "must be a text"),
    "int_type": Text("须为整数", "must be a whole number"),
    "int_from_float": Text("须为整数", "must be a whole number"),
    "bool_type": Text("须为 true 或 false", "must be true or false"),
    "list_type": Text("须为列表", "must be a list"),
    "dict_type": Text("须为JSON对象", "must be a JSON object"),
    "too_long": Text("不能超过 {max_length} 项", "must not have more than {max_length} entries"),
    "too_short": Text("不能少于 {min_length} 项", "needs {min_length} entries"),
    "ids_or_selector": Text("须给出 ids 或 selector 之一", "takes either ids or a selector"),
    "selects_nothing": Text("须至少给出一个条件", "needs a condition"),
    "selects_too_many": Text("选中的虚拟机过多", "selects too many VMs"),
    "network_name": Text(
        "类型为 bridge 时须有且仅有 bridge，为 network 时须有且仅有 name",
        "takes `bridge` with type bridge, and `name` with type network",
    ),
    "float_type": Text("须为数字", "must be a number"),
    "greater_than": Text("须大于 {gt:g}", "must be greater than {gt:g}"),
    "bool_parsing": Text("须为 true 或 false", "must be true or false"),
    "int_parsing": Text("须为整数", "must be a whole number"),
    "float_parsing": Text("须为数字", "must be a number"),
    "finite_number": Text("须为有限的数字", "must be a finite number"),
    "greater_than_equal": Text("不能小于 {ge:g}", "must not be less than {ge:g}"),
    "less_than_equal": Text("不能大于 {le:g}", "must not be greater than {le:g}"),
    "string_too_long": Text(
        "不能超过 {max_length} 个字符", "must not exceed {max_length} characters"
    ),
    "string_too_short": Text("不能少于 {min_length} 个字符", "needs {min_length} characters"),
    "string_pattern_mismatch": Text("须符合 {pattern}", "must match {pattern}"),
    "control_characters": Text(
        "不能含有控制字符（制表符和换行符除外）",
        "must not contain control characters other than tab and newline",
    ),
    "snapshot_name": Text(
        "快照名称须为1到63个字符，不含空白、控制字符和 / % ? + &，不以 . 开头",
        "a snapshot name has 1-63 characters without spaces, control characters and / % ? + &, and "
        "does not start with a dot",
    ),
    "literal_error": Text("须为 {expected} 之一", "must be one of {expected}"),
    "enum": Text("须为 {expected} 之一", "must be one of {expected}"),
    "json_invalid": Text("不是有效的JSON", "is not valid JSON"),
    "extra_forbidden": Text("不是已知的字段", "is not a known field"),
    "model_attributes_type": Text("须为JSON对象", "must be a JSON object"),
    "iso_8601": Text(
        "须为 ISO 8601 时间，如 2024-01-01T12:00:00Z",
        "must be a time by ISO 8601 like 2024-01-01T12:00:00Z",
    ),
    "not_after_to": Text("不能晚于 to", "must not be later than `to`"),
    "rename_elsewhere": Text("改名请用 /rename", "is changed by /rename"),
    "known_fields": Text("须为已有的字段，以逗号分隔", "must name fields there are, with commas"),
    "cursor": Text("不是上一页给出的游标", "is no cursor that a page has given"),
    "stream_message": Text(
        "须为 docs/api/stream.md 中的订阅请求", "must be a request as in docs/api/stream.md"
    ),
    "stream_hosts_have_no_name": Text(
        "主题 hosts 只有 host 过滤", "the topic hosts is filtered by host only"
    ),
    "stream_full": Text("一个连接的订阅过多", "the connection has too many subscriptions"),
    "not_valid": Text("值无效", "is not valid"),
}

_OUTCOMES = {
    "start.done": Text("实例 {name} 启动成功", "Instance {name} started"),
    "start.already": Text("实例 {name} 已在运行", "Instance {name} was running already"),
    "stop.done": Text("实例 {name} 停止成功", "Instance {name} stopped"),
    "stop.gone": Text(
        "实例 {name} 是临时实例，停止后已被删除",
        "Instance {name} was ephemeral: it stopped, and is deleted",
    ),
    "stop.already": Text("实例 {name} 已经停止", "Instance {name} was stopped already"),
    "restart.done": Text("实例 {name} 重启成功", "Instance {name} restarted"),
    "restart.already": Text("实例 {name} 已经重启", "Instance {name} was restarted already"),
    "freeze.done": Text("实例 {name} 暂停成功", "Instance {name} paused"),
    "freeze.already": Text("实例 {name} 已经暂停", "Instance {name} was paused already"),
    "unfreeze.done": Text("实例 {name} 恢复成功", "Instance {name} resumed"),
    "unfreeze.already": Text("实例 {name} 已在运行", "Instance {name} was running already"),
    "create.done": Text("实例 {name} 创建成功", "Instance {name} created"),
    "create.already": Text("实例 {name} 已经创建", "Instance {name} was created already"),
    "update.done": Text("实例 {name} 更新成功", "Instance {name} updated"),
    "update.already": Text("实例 {name} 已经更新", "Instance {name} was updated already"),
    "rename.done": Text("实例 {name} 重命名成功", "Instance {name} renamed"),
    "rename.already": Text("实例 {name} 已经重命名", "Instance {name} was renamed already"),
    "restore.done": Text("实例 {name} 恢复快照成功", "Instance {name} restored"),
    "restore.already": Text("实例 {name} 已经恢复快照", "Instance {name} was restored already"),
    "snapshot.done": Text("实例 {name} 快照创建成功", "A snapshot of instance {name} was made"),
    "snapshot.already": Text(
        "实例 {name} 的快照已经存在", "The snapshot of instance {name} was there already"
    ),
    "delete-snapshot.done": Text(
        "实例 {name} 快照删除成功", "A snapshot of instance {name} was deleted"
    ),
    "delete-snapshot.already": Text(
        "实例 {name} 的快照已经删除", "The snapshot of instance {name} was deleted already"
    ),
    "password.done": Text("实例 {name} 密码设置成功", "The password of instance {name} was set"),
    "password.already": Text(
        "实例 {name} 的密码已经设置", "The password of instance {name} was set already"
    ),
    "rebuild.done": Text(
        "实例 {name} 重装成功；原系统及其快照可在保留期内恢复",
        "Instance {name} was rebuilt; what it was is kept for a day, with its snapshots",
    ),
    "rebuild.already": Text("实例 {name} 已经重装", "Instance {name} was rebuilt already"),
    "revert.done": Text(
        "实例 {name} 已恢复为原系统及其快照；重装后的系统在保留期内保留",
        "Instance {name} is what it was, with its snapshots; what it was meanwhile is kept for a "
        "day",
    ),
    "revert.already": Text("实例 {name} 已恢复为原系统", "Instance {name} was reverted already"),
    "delete.done": Text("实例 {name} 删除成功", "Instance {name} deleted"),
    "delete.already": Text("实例 {name} 已经删除", "Instance {name} was deleted already"),
    "start.unfinished": Text(
        "实例 {name} 仍在启动，操作 {operation_id}",
        "Instance {name} is still starting: operation {operation_id}",
    ),
    "stop.unfinished": Text(
        "实例 {name} 仍在停止，操作 {operation_id}",
        "Instance {name} is still stopping: operation {operation_id}",
    ),
    "restart.unfinished": Text(
        "实例 {name} 仍在重启，操作 {operation_id}",
        "Instance {name} is still restarting: operation {operation_id}",
    ),
    "freeze.unfinished": Text(
        "实例 {name} 仍在暂停，操作 {operation_id}",
        "Instance {name} is still being paused: operation {operation_id}",
    ),
    "unfreeze.unfinished": Text(
        "实例 {name} 仍在恢复，操作 {operation_id}",
        "Instance {name} is still being resumed: operation {operation_id}",
    ),
    "create.unfinished": Text(
        "实例 {name} 仍在创建，操作 {operation_id}",
        "Instance {name} is still being created: operation {operation_id}",
    ),
    "update.unfinished": Text(
        "实例 {name} 仍在更新，操作 {operation_id}",
        "Instance {name} is still being updated: operation {operation_id}",
    ),
    "rename.unfinished": Text(
        "实例 {name} 仍在重命名，操作 {operation_id}",
        "Instance {name} is still being renamed: operation {operation_id}",
    ),
    "restore.unfinished": Text(
        "实例 {name} 仍在恢复快照，操作 {operation_id}",
        "Instance {name} is still being restored: operation {operation_id}",
    ),
    "snapshot.unfinished": Text(
        "实例 {name} 仍在创建快照，操作 {operation_id}",
        "A snapshot of instance {name} is still being made: operation {operation_id}",
    ),
    "delete-snapshot.unfinished": Text(
        "实例 {name} 仍在删除快照，操作 {operation_id}",
        "A snapshot of instance {name} is still being deleted: operation {operation_id}",
    ),
    "password.unfinished": Text(
        "实例 {name} 仍在设置密码，操作 {operation_id}",
        "The password of instance {name} is still being set: operation {operation_id}",
    ),
    "rebuild.unfinished": Text(
        "实例 {name} 仍在重装，操作 {operation_id}",
        "Instance {name} is still being rebuilt: operation {operation_id}",
    ),
    "revert.unfinished": Text(
        "实例 {name} 仍在恢复为原系统，操作 {operation_id}",
        "Instance {name} is still being reverted: operation {operation_id}",
    ),
    "delete.unfinished": Text(
        "实例 {name} 仍在删除，操作 {operation_id}",
        "Instance {name} is still being deleted: operation {operation_id}",
    ),
    "host.forgotten": Text("主机 {host} 已移除", "Host {host} was removed"),
}

# What workers say in English, as they say it; what names a value of theirs stays so.
WORKERS_RULES = {
    rule: Text(chinese, rule)
    for rule, chinese in {
        "more than is in use": "须大于当前使用量",
        "this host has no pool of ports": "该主机没有端口池",
        "for containers only": "仅适用于容器",
        "ports end at 65535": "端口不能超过 65535",
        "one that is not ephemeral": "不能是临时实例，其停止后即被删除",
        "one key on one line each": "每个密钥须为一行",
        "8-128 printable ASCII characters without spaces": "须为8到128个ASCII字符，无空格",
        "8-128 printable ASCII characters without spaces and colons": (
            "须为8到128个ASCII字符，无空格和冒号"
        ),
        "at least 1000 bits a second": "不能小于每秒1000比特",
        "a network for what shall be limited": "须有网络才能限速",
        "for instances with a network interface": "仅适用于有网卡的实例",
        "for instances with a root disk": "仅适用于有根磁盘的实例",
        "set by a profile of the instance": "由实例的配置文件设定",
        "it is paused": "已暂停",
        "there is no chpasswd in it": "其中没有 chpasswd",
        "the agent of the virtual machine does not run": "虚拟机的代理程序未运行",
    }.items()
}

# What an error of bad input may name as its rule; none of them needs a value.
RULES = {
    code: text for code, text in {**_RULES, **WORKERS_RULES}.items() if "{" not in text.en + text.zh
}
TEXTS: dict[str, Text] = {**_ERRORS, **_RULES, **WORKERS_RULES, **_OUTCOMES}
