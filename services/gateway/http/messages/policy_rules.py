"""What is valid in a snapshot policy, by the sentences of `shared.policies.rules`."""

from __future__ import annotations

from services.gateway.http.messages.text import Text
from shared.policies import rules

_CHINESE = {
    rules.CRON: ("须为 cron 的五个字段：分、时、日、月、星期；例如 '30 2 * * *' 为每天 02:30"),
    rules.CRON_NEVER: "须为会到来的时间：此计划在今后 50 年内都不会执行",
    rules.TIMEZONE: "须为 IANA 时区名称，例如 'Asia/Shanghai' 或 'UTC'",
    rules.JITTER: "须小于该计划两次快照之间的最短间隔",
    rules.NAME: "须为1到63个ASCII字母、数字或连字符",
    rules.ID: "不能为空",
    rules.KEEPS_NOTHING: (
        "keepLast、keepHourly、keepDaily、keepWeekly、keepMonthly、keepYearly 至少一项须大于 0"
    ),
    rules.TAG: "标签须为1到63个ASCII字母、数字、'.'、'_' 或 '-'",
    rules.PATTERN_TIME: "须含有 {time}，使每个快照的名称各不相同",
    rules.PATTERN_PLACEHOLDERS: "除 {policy}、{instance}、{time} 外不能有花括号",
    rules.PATTERN_CHARACTERS: "不能含有空白、控制字符和 '/%?+&'，不能以 '.' 开头",
    rules.PATTERN_LENGTH: ("所得名称不能超过63个字符；{time} 占16个，{instance} 至少需要8个"),
    rules.HOSTS: "主机的 id 不能为空",
    rules.PROJECTS: "项目名称不能为空",
    rules.NAMES: "须为由字母、数字、'-'、'*'、'?' 和 '[...]' 组成的通配符，名称中没有其他字符",
    rules.LABELS: "标签名称不能为空",
    rules.COMMAND: "须为程序及其参数，不含 NUL；程序不能为空",
    rules.COMMAND_TIMEOUT: "时限须大于 0 秒",
    rules.SIZE: (
        "整个策略的 JSON 不能超过 16 KiB：请将长脚本放入实例内的文件，或缩短命令、列表和描述"
    ),
    rules.PLAN_SIZE: (
        "所有启用的策略合计的 JSON 不能超过 960 KiB：请停用、删除或合并一些策略，或缩短命令和列表"
    ),
    rules.ALL_SIZE: ("所有策略合计的 JSON 不能超过 4 MiB：请删除一些策略，或缩短命令、列表和描述"),
    rules.COUNT: "策略不能超过 1000 个：请删除或合并一些策略",
    rules.MOMENT: "须为 RFC 3339 的 UTC 时间，例如 2026-11-29T20:45:00Z",
}


# Where a sentence names fields of messages: callers know those of the API.
_ENGLISH = {
    rules.KEEPS_NOTHING: (
        "at least one of keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly and keepYearly"
        " above 0"
    ),
}


def _escaped(text: str) -> str:
    """Return a text whose braces stand for themselves."""
    return text.replace("{", "{{").replace("}", "}}")


POLICY_RULES = {
    rule: Text(_escaped(chinese), _escaped(_ENGLISH.get(rule, rule)))
    for rule, chinese in _CHINESE.items()
}
