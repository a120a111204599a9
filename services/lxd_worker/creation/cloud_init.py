"""The user data from which cloud-init sets up a new instance: the caller's, and what we add to it.

If there are both, they become the parts of a MIME message, which cloud-init accepts as well as
plain text; so the caller's part need not be parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from shared.contracts.errors import InvalidInput

CLOUD_INIT = "cloud_init"
ROOT_PASSWORD = "root_password"  # noqa: S105 - the name of a secret

# One field of `name ssh password first last`; cloud-init makes others of `R` and `RANDOM`.
_PASSWORD = re.compile(r"[!-~]{8,128}")
# What cloud-init would silently drop of one part when it merges two.
_OURS = {
    "ssh_authorized_keys": re.compile(r"^ssh_authorized_keys\s*:", re.MULTILINE),
    "chpasswd": re.compile(r"^chpasswd\s*:", re.MULTILINE),
}
_HEADER = "#cloud-config\n"


def user_data(ssh_keys: Sequence[str], secrets: Mapping[str, str]) -> str:
    """Return the value of LXD's `cloud-init.user-data`; empty if there is nothing to set up."""
    given = secrets.get(CLOUD_INIT, "")
    ours = _settings(ssh_keys, secrets.get(ROOT_PASSWORD, ""))
    if not ours:
        return given
    text = _HEADER + json.dumps(ours)
    return _both(text, given) if given else text


def check_user_data(ssh_keys: Sequence[str], secrets: Mapping[str, str]) -> None:
    """Raise InvalidInput for what cloud-init would not set up as intended."""
    if any(not key.strip() or not key.isprintable() for key in ssh_keys):
        raise InvalidInput("ssh_keys", "one key on one line each")
    password = secrets.get(ROOT_PASSWORD, "")
    if password and not _PASSWORD.fullmatch(password):
        raise InvalidInput(ROOT_PASSWORD, "8-128 printable ASCII characters without spaces")
    given = secrets.get(CLOUD_INIT, "")
    for key in _settings(ssh_keys, password):
        if key in _OURS and _OURS[key].search(given):
            raise InvalidInput(CLOUD_INIT, f"no {key} beside one of the request's own")


def _settings(ssh_keys: Sequence[str], password: str) -> dict[str, object]:
    """Return our cloud-config; root is the user that logs in through NAT."""
    keys: dict[str, object] = {"ssh_authorized_keys": list(ssh_keys)} if ssh_keys else {}
    # `list` is deprecated, but the only form that all releases in use understand.
    root = {"expire": False, "list": f"root:{password}"}
    words: dict[str, object] = {"chpasswd": root, "ssh_pwauth": True} if password else {}
    both = keys | words
    return both | {"disable_root": False} if both else {}


def _both(ours: str, given: str) -> str:
    message = MIMEMultipart()
    message.attach(MIMEText(ours, "cloud-config"))
    # cloud-init itself finds out what plain text is: a script, a cloud-config, an include file.
    message.attach(MIMEText(given, "plain"))
    return message.as_string()
