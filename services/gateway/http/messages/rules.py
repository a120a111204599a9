"""What is wrong with a value: pydantic's codes, ours, and the English texts of workers."""

from __future__ import annotations

from services.gateway.http.messages.text import Text

RULES = {
    "no_screen": Text("容器没有屏幕", "a container has no screen"),
    "instance_name": Text(
        "实例名称须为1到63个ASCII字母、数字或连字符，不能以数字或连字符开头，不能以连字符结尾",
        "an instance name must be 1-63 ASCII letters, digits or hyphens, must not start with a "
        "digit or hyphen and must not end with a hyphen",
    ),
    "missing": Text("必须提供", "is required"),
    "string_type": Text("须为文本", "must be a string"),
    "int_type": Text("须为整数", "must be an integer"),
    "int_from_float": Text("须为整数", "must be an integer"),
    "bool_type": Text("须为 true 或 false", "must be true or false"),
    "list_type": Text("须为列表", "must be a list"),
    "dict_type": Text("须为JSON对象", "must be a JSON object"),
    "too_long": Text("不能超过 {max_length} 项", "the maximum number of entries is {max_length}"),
    "too_short": Text("不能少于 {min_length} 项", "the minimum number of entries is {min_length}"),
    "ids_or_selector": Text("须给出 ids 或 selector 之一", "must have either ids or selector"),
    "selects_nothing": Text("须至少给出一个条件", "must have at least one condition"),
    "selects_too_many": Text("选中的虚拟机过多", "selects too many VMs"),
    "network_name": Text(
        "类型为 bridge 时须有且仅有 bridge，为 network 时须有且仅有 name",
        "must have only `bridge` with type bridge, and only `name` with type network",
    ),
    "float_type": Text("须为数字", "must be a number"),
    "greater_than": Text("须大于 {gt:g}", "must be greater than {gt:g}"),
    "bool_parsing": Text("须为 true 或 false", "must be true or false"),
    "int_parsing": Text("须为整数", "must be an integer"),
    "float_parsing": Text("须为数字", "must be a number"),
    "finite_number": Text("须为有限的数字", "must be a finite number"),
    "greater_than_equal": Text("不能小于 {ge:g}", "must not be less than {ge:g}"),
    "less_than_equal": Text("不能大于 {le:g}", "must not be greater than {le:g}"),
    "string_too_long": Text("不能超过 {max_length} 个字符", "the maximum length is {max_length}"),
    "string_too_short": Text("不能少于 {min_length} 个字符", "the minimum length is {min_length}"),
    "string_pattern_mismatch": Text("须符合 {pattern}", "must match {pattern}"),
    "control_characters": Text(
        "不能含有控制字符（制表符和换行符除外）",
        "must not contain control characters other than tab and newline",
    ),
    "snapshot_name": Text(
        "快照名称须为1到63个字符，不含空白、控制字符和 / % ? + &，不以 . 开头",
        "a snapshot name must be 1-63 characters without whitespace, control characters and "
        "/ % ? + &, and must not start with a dot",
    ),
    "safety_snapshot": Text(
        "须为 true、false 或快照名称", "must be true, false or a snapshot's name"
    ),
    "literal_error": Text("须为 {expected} 之一", "must be one of {expected}"),
    "enum": Text("须为 {expected} 之一", "must be one of {expected}"),
    "json_invalid": Text("不是有效的JSON", "is not valid JSON"),
    "extra_forbidden": Text("不是已知的字段", "is not a known field"),
    "model_attributes_type": Text("须为JSON对象", "must be a JSON object"),
    "iso_8601": Text(
        "须为 ISO 8601 时间，如 2024-01-01T12:00:00Z",
        "must be an ISO 8601 time like 2024-01-01T12:00:00Z",
    ),
    "not_after_to": Text("不能晚于 to", "must not be later than `to`"),
    "rename_elsewhere": Text("改名请用 /rename", "can only be changed with /rename"),
    "known_fields": Text(
        "须为已有的字段，以逗号分隔", "must be existing fields, separated by commas"
    ),
    "cursor": Text("不是上一页给出的游标", "is not a cursor given by a previous page"),
    "stream_message": Text(
        "须为 docs/api/stream.md 中的订阅请求", "must be a request described in docs/api/stream.md"
    ),
    "stream_hosts_have_no_name": Text(
        "主题 hosts 只有 host 过滤", "the topic hosts can only be filtered by host"
    ),
    "stream_keys_of_usage": Text("只用于主题 usage", "are for the topic usage only"),
    "stream_usage_of_what": Text(
        "主题 usage 须给出 host 或 keys", "or `host` must be given for the topic usage"
    ),
    "stream_keys": Text(
        "至多 500 个，形如 主机/项目/名称", "must be at most 500, each like host/project/name"
    ),
    "stream_full": Text("一个连接的订阅过多", "the connection has too many subscriptions"),
    "near_now": Text(
        "须在过去一天之内，不晚于现在五分钟",
        "must be within the last day, or the next five minutes",
    ),
    "not_valid": Text("值无效", "is not valid"),
}

# The English texts of workers, by which they are known; one that names a value stays English.
WORKER_RULES = {
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
