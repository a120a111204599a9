"""What became of an operation: by its kind, and whether it is done, was so already, or goes on."""

from __future__ import annotations

from services.gateway.http.messages.text import Text

OUTCOMES = {
    "policy_selects_nothing": Text(
        "选择条件全部为空，不选中任何实例", "All of the selection is empty: it selects no instance"
    ),
    "matches_nothing": Text(
        "目前没有实例符合选择条件", "No instance fits the selection at present"
    ),
    "start.done": Text("实例 {name} 启动成功", "Instance {name} started"),
    "start.already": Text("实例 {name} 已在运行", "Instance {name} was already running"),
    "stop.done": Text("实例 {name} 停止成功", "Instance {name} stopped"),
    "stop.gone": Text(
        "实例 {name} 是临时实例，停止后已被删除",
        "Instance {name} is ephemeral: it stopped and was deleted",
    ),
    "stop.already": Text("实例 {name} 已经停止", "Instance {name} was already stopped"),
    "restart.done": Text("实例 {name} 重启成功", "Instance {name} restarted"),
    "restart.already": Text("实例 {name} 已经重启", "Instance {name} was already restarted"),
    "freeze.done": Text("实例 {name} 暂停成功", "Instance {name} paused"),
    "freeze.already": Text("实例 {name} 已经暂停", "Instance {name} was already paused"),
    "unfreeze.done": Text("实例 {name} 恢复成功", "Instance {name} resumed"),
    "unfreeze.already": Text("实例 {name} 已在运行", "Instance {name} was already running"),
    "create.done": Text("实例 {name} 创建成功", "Instance {name} created"),
    "create.already": Text("实例 {name} 已经创建", "Instance {name} was already created"),
    "update.done": Text("实例 {name} 更新成功", "Instance {name} updated"),
    "update.already": Text("实例 {name} 已经更新", "Instance {name} was already updated"),
    "rename.done": Text("实例 {name} 重命名成功", "Instance {name} renamed"),
    "rename.already": Text("实例 {name} 已经重命名", "Instance {name} was already renamed"),
    "restore.done": Text("实例 {name} 恢复快照成功", "Instance {name} restored from its snapshot"),
    "restore.already": Text(
        "实例 {name} 已经恢复快照", "Instance {name} was already restored from its snapshot"
    ),
    "snapshot.done": Text("实例 {name} 快照创建成功", "Snapshot of instance {name} created"),
    "snapshot.already": Text(
        "实例 {name} 的快照已经存在", "The snapshot of instance {name} already exists"
    ),
    "delete-snapshot.done": Text("实例 {name} 快照删除成功", "Snapshot of instance {name} deleted"),
    "delete-snapshot.already": Text(
        "实例 {name} 的快照已经删除", "The snapshot of instance {name} was already deleted"
    ),
    "password.done": Text("实例 {name} 密码设置成功", "Password of instance {name} set"),
    "password.already": Text(
        "实例 {name} 的密码已经设置", "The password of instance {name} was already set"
    ),
    "rebuild.done": Text(
        "实例 {name} 重装成功；原系统及其快照可在保留期内恢复",
        "Instance {name} rebuilt; its former system and snapshots can be restored for a day",
    ),
    "rebuild.already": Text("实例 {name} 已经重装", "Instance {name} was already rebuilt"),
    "revert.done": Text(
        "实例 {name} 已恢复为原系统及其快照；重装后的系统在保留期内保留",
        "Instance {name} is back to its former system and snapshots; the rebuilt one is kept for "
        "a day",
    ),
    "revert.already": Text("实例 {name} 已恢复为原系统", "Instance {name} was already reverted"),
    "delete.done": Text("实例 {name} 删除成功", "Instance {name} deleted"),
    "delete.already": Text("实例 {name} 已经删除", "Instance {name} was already deleted"),
    "start.unfinished": Text(
        "实例 {name} 仍在启动，操作 {operation_id}",
        "Instance {name} is still starting; operation {operation_id}",
    ),
    "stop.unfinished": Text(
        "实例 {name} 仍在停止，操作 {operation_id}",
        "Instance {name} is still stopping; operation {operation_id}",
    ),
    "restart.unfinished": Text(
        "实例 {name} 仍在重启，操作 {operation_id}",
        "Instance {name} is still restarting; operation {operation_id}",
    ),
    "freeze.unfinished": Text(
        "实例 {name} 仍在暂停，操作 {operation_id}",
        "Instance {name} is still being paused; operation {operation_id}",
    ),
    "unfreeze.unfinished": Text(
        "实例 {name} 仍在恢复，操作 {operation_id}",
        "Instance {name} is still being resumed; operation {operation_id}",
    ),
    "create.unfinished": Text(
        "实例 {name} 仍在创建，操作 {operation_id}",
        "Instance {name} is still being created; operation {operation_id}",
    ),
    "update.unfinished": Text(
        "实例 {name} 仍在更新，操作 {operation_id}",
        "Instance {name} is still being updated; operation {operation_id}",
    ),
    "rename.unfinished": Text(
        "实例 {name} 仍在重命名，操作 {operation_id}",
        "Instance {name} is still being renamed; operation {operation_id}",
    ),
    "restore.unfinished": Text(
        "实例 {name} 仍在恢复快照，操作 {operation_id}",
        "Instance {name} is still being restored; operation {operation_id}",
    ),
    "snapshot.unfinished": Text(
        "实例 {name} 仍在创建快照，操作 {operation_id}",
        "The snapshot of instance {name} is still being created; operation {operation_id}",
    ),
    "delete-snapshot.unfinished": Text(
        "实例 {name} 仍在删除快照，操作 {operation_id}",
        "The snapshot of instance {name} is still being deleted; operation {operation_id}",
    ),
    "password.unfinished": Text(
        "实例 {name} 仍在设置密码，操作 {operation_id}",
        "The password of instance {name} is still being set; operation {operation_id}",
    ),
    "rebuild.unfinished": Text(
        "实例 {name} 仍在重装，操作 {operation_id}",
        "Instance {name} is still being rebuilt; operation {operation_id}",
    ),
    "revert.unfinished": Text(
        "实例 {name} 仍在恢复为原系统，操作 {operation_id}",
        "Instance {name} is still being reverted; operation {operation_id}",
    ),
    "delete.unfinished": Text(
        "实例 {name} 仍在删除，操作 {operation_id}",
        "Instance {name} is still being deleted; operation {operation_id}",
    ),
    "host.forgotten": Text("主机 {host} 已移除", "Host {host} removed"),
}
