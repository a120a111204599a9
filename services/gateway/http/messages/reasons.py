"""Why a policy keeps a snapshot or not, and why one of its slots brought none."""

from __future__ import annotations

from services.gateway.http.messages.text import Text

# By the first word of a reason; `{value}` is what follows it.
RETENTION = {
    "last": Text("最近的第 {value} 个", "number {value} of the newest"),
    "hourly": Text("{value} 时段内最新的一个", "the newest of the hour {value}"),
    "daily": Text("{value} 当天最新的一个", "the newest of the day {value}"),
    "weekly": Text("{value} 当周最新的一个", "the newest of the week {value}"),
    "monthly": Text("{value} 当月最新的一个", "the newest of the month {value}"),
    "yearly": Text("{value} 当年最新的一个", "the newest of the year {value}"),
    "oldest": Text("最早的一个：规则的数量尚未用完", "the oldest of all: the rule has counts left"),
    "tag": Text("带有标签 {value}", "it has the tag {value}"),
    "newest": Text("最新的一个始终保留", "the newest one always stays"),
    "future": Text("时间在未来，始终保留", "it is dated in the future, and stays"),
    "protected": Text("已设为受保护", "it is protected"),
    "expires": Text(
        "已在 LXD 中设置到期时间，由 LXD 删除", "it has an expiry in LXD, which deletes it then"
    ),
    "foreign": Text("不是此策略所建，不会删除", "this policy did not take it, and leaves it"),
    "misdated": Text(
        "拍摄时主机时钟有误，时间早于此前的快照，不会删除",
        "the clock was wrong: it is dated before older ones, and stays",
    ),
    "in_use": Text("正在使用", "it is in use right now"),
    "no_rule": Text("没有规则保留它", "no rule keeps it"),
}

# By the code of a run, or of an instance's protection.
RUNS = {
    "invalid_input": Text(
        "该主机无法执行此策略", "this host cannot carry out the policy as it stands"
    ),
    "busy": Text("实例一直忙于其他操作", "the instance was busy with something else all the time"),
    "instance_gone": Text("实例已删除", "the instance is gone"),
    "not_selected": Text("策略不再选中该实例", "the policy no longer selects the instance"),
    "duplicate_uuid": Text(
        "主机上另一个实例有相同的 volatile.uuid", "another instance has the same volatile.uuid"
    ),
    "policy_gone": Text("策略已删除或已停用", "the policy was deleted or disabled"),
    "command_failed": Text("实例内的命令失败", "the command inside the instance failed"),
    "lxd_refused": Text("LXD 拒绝了请求", "LXD refused"),
    "lxd_busy": Text("LXD 正忙于该实例", "LXD was busy with the instance"),
    "lxd_unavailable": Text("LXD 不可用", "LXD was not available"),
    "operation_in_progress": Text("另一个操作正在进行", "another operation was under way"),
    "outcome_unknown": Text("结果未知", "the outcome is unknown"),
    "snapshot_not_found": Text("快照已建成，但已不存在", "it was taken, and is no longer there"),
    "operation_unknown": Text("结果未知", "the outcome is unknown"),
    "host_busy": Text("主机未完成的操作过多", "the host had too many unfinished operations"),
    "instance_not_found": Text("实例不存在", "the instance does not exist"),
    "instance_replaced": Text("实例已被同名实例替换", "another instance has taken its name"),
    "snapshot_exists": Text("已有同名快照", "there is a snapshot of this name"),
    "step_timed_out": Text("未在限时内完成", "it did not finish in time"),
    "step_interrupted": Text("被中断，未生效", "it was interrupted, and had no effect"),
    "no_effect": Text("LXD 报告成功但没有快照", "LXD told of success, but there is no snapshot"),
    "cancelled": Text("已被取消", "it was cancelled"),
}
OTHER = Text("未产生快照（{value}）", "there was no snapshot ({value})")
