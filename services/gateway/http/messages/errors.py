"""What errors say, by their code."""

from __future__ import annotations

from services.gateway.http.messages.text import Text

ERRORS = {
    "host_unreachable": Text(
        "LXD服务不可用：主机 {host} 未连接", "LXD is not available: host {host} is not connected"
    ),
    "lxd_unavailable": Text("LXD服务不可用", "LXD is not available"),
    "broker_unavailable": Text(
        "消息服务不可用，请稍后重试", "The message broker is not connected; try again later"
    ),
    "database_unavailable": Text(
        "数据库不可用，请稍后重试", "The database is not available; try again later"
    ),
    "fleet_view_not_ready": Text(
        "LXD服务不可用", "The gateway is still reading the fleet; try again soon"
    ),
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
        "Host {host} already has {most} consoles open and accepts no more",
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
        "Host {host} presents a certificate other than the one it first registered with",
    ),
    "host_still_online": Text(
        "主机 {host} 仍在线，请先停止其工作进程",
        "Host {host} is still online; stop its worker first",
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
        "Several VMs are named {name}: {ids}; use an id",
    ),
    "instance_replaced": Text(
        "实例 {name} 已被重新创建，请刷新后重试",
        "Instance {name} has been re-created; refresh and try again",
    ),
    "instance_running": Text("实例 {name} 正在运行", "Instance {name} is running"),
    "instance_not_running": Text("实例 {name} 未在运行", "Instance {name} is not running"),
    "instance_not_frozen": Text("实例 {name} 未暂停", "Instance {name} is not paused"),
    "instance_exists": Text("实例 {name} 已存在", "Instance {name} already exists"),
    "instance_changed_since": Text(
        "实例 {name} 在读取之后已被更改，请重新读取",
        "Instance {name} has changed since it was read; read it again",
    ),
    "insufficient_resources": Text(
        "主机 {host} 资源不足：{resource} 需要 {wanted}，剩余 {free}",
        "Host {host} is short of {resource}: {wanted} needed, {free} left",
    ),
    "no_host_fits": Text("没有主机能容纳：{summary}", "No host is suitable: {summary}"),
    "no_host_for_now": Text(
        "暂时没有主机能容纳，请稍后重试：{summary}",
        "No host is suitable at the moment; try again later: {summary}",
    ),
    "port_in_use": Text(
        "主机 {host} 的端口 {port} 已被占用", "Port {port} on host {host} is already in use"
    ),
    "image_not_found": Text("镜像 {image} 不可用", "Image {image} is not available"),
    "snapshot_not_found": Text(
        "实例 {name} 没有快照 {snapshot}", "Instance {name} has no snapshot {snapshot}"
    ),
    "snapshot_exists": Text(
        "实例 {name} 已有快照 {snapshot}", "Instance {name} already has a snapshot {snapshot}"
    ),
    "log_not_found": Text("实例 {name} 没有启动日志", "Instance {name} has no startup log"),
    "command_failed": Text(
        "实例 {name} 内的命令 {command} 失败：{reason}",
        "The command {command} in instance {name} failed: {reason}",
    ),
    "password_not_set": Text(
        "实例 {name} 的密码未能设置：{reason}",
        "The password of instance {name} could not be set: {reason}",
    ),
    "policy_not_found": Text(
        "快照策略 {policy} 不存在，或尚未下发到该主机",
        "Snapshot policy {policy} does not exist, or has not reached this host yet",
    ),
    "policy_disabled": Text(
        "快照策略 {policy} 已停用，请先启用",
        "Snapshot policy {policy} is disabled; enable it first",
    ),
    "policy_exists": Text(
        "已有名为 {policy} 的快照策略", "A snapshot policy named {policy} already exists"
    ),
    "policy_changed_since": Text(
        "快照策略 {policy} 在读取之后已被更改，请重新读取",
        "Snapshot policy {policy} has changed since it was read; read it again",
    ),
    "snapshots_unavailable": Text(
        "快照服务暂不可用；各主机仍按已有计划执行，请稍后重试",
        "The snapshots service is not available; hosts carry out the plans that they have. "
        "Try again later",
    ),
    "snapshots_silent": Text(
        "快照服务没有应答，结果未知；请重新读取后再试",
        "The snapshots service did not answer; the outcome is unknown. Read again before you retry",
    ),
    "trash_not_found": Text(
        "实例 {name} 没有可恢复的旧系统",
        "Instance {name} has no former system to restore",
    ),
    "operation_not_found": Text(
        "操作 {operation_id} 不存在", "Operation {operation_id} does not exist"
    ),
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
        "LXD is running another operation on the instance; try again later: {reason}",
    ),
    "lxd_refused": Text("LXD拒绝了请求：{reason}", "LXD refused the request: {reason}"),
    "no_effect": Text(
        "LXD 报告 {step} 已完成，但实际没有生效",
        "LXD reported {step} as done, but it had no effect",
    ),
    "step_interrupted": Text(
        "{step} 被中断，没有生效，请重试", "{step} was interrupted and had no effect; try again"
    ),
    "step_timed_out": Text("{step} 超时，没有生效", "{step} timed out and had no effect"),
    "secrets_not_received": Text(
        "操作 {operation_id} 的机密数据未按时送达，没有执行，请重试",
        "The secrets of operation {operation_id} did not arrive in time; it was not carried out; "
        "try again",
    ),
    "worker_outdated": Text(
        "主机 {host} 的工作进程版本过旧，请升级",
        "The worker of host {host} is too old for this; upgrade it",
    ),
    "worker_failed": Text(
        "主机 {host} 的工作进程出错：{reason}", "The worker of host {host} failed: {reason}"
    ),
    "cancelled": Text("操作已取消", "The operation was cancelled"),
    "operation_unknown": Text(
        "操作 {operation_id} 的结果未知，请人工检查实例",
        "The outcome of operation {operation_id} is unknown; check the instance by hand",
    ),
    "unauthorized": Text("需要有效的API令牌", "A valid API token is required"),
    "origin_not_allowed": Text(
        "不允许来源 {origin}；见 FLEET_ALLOWED_ORIGINS",
        "Origin {origin} is not allowed; see FLEET_ALLOWED_ORIGINS",
    ),
    "host_header_not_allowed": Text(
        "没有令牌时不能以 {host} 访问；请用绑定的地址，或将其来源列入 FLEET_ALLOWED_ORIGINS",
        "Without a token the gateway does not answer as {host}; use the address it is bound to, or "
        "add the origin to FLEET_ALLOWED_ORIGINS",
    ),
    "body_too_large": Text(
        "请求体超过 {limit} 字节", "The request body is larger than {limit} bytes"
    ),
    "media_type_not_supported": Text(
        "请求体必须是 application/json", "The request body must be application/json"
    ),
    "head_too_large": Text(
        "请求头超过 {limit} 字节，或字段过多",
        "The request header is larger than {limit} bytes or has too many fields",
    ),
    "uri_too_long": Text(
        "请求地址超过 {limit} 字节", "The request URI is longer than {limit} bytes"
    ),
    "request_timeout": Text("请求未及时到达", "The request did not arrive in time"),
    "too_many_connections": Text(
        "打开的连接过多，请稍后重试", "Too many connections are open; try again later"
    ),
    "route_not_found": Text("路径 {path} 不存在", "Path {path} does not exist"),
    "method_not_allowed": Text("{path} 不支持 {method}", "{path} does not support {method}"),
    "not_ready": Text("网关未就绪：{missing}", "The gateway is not ready: {missing}"),
    "not_sampled": Text("主机 {host} 没有最新的测量数据", "Host {host} has no recent sample"),
    "bad_request": Text("请求有误", "The request is malformed"),
    "internal_error": Text("服务器内部错误", "Internal server error"),
}
