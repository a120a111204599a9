"""What cloud-init is given."""

from __future__ import annotations

import json
from email import message_from_string
from typing import Any

import pytest

from services.lxd_worker.creation.cloud_init import check_user_data, user_data
from shared.contracts.errors import InvalidInput

KEY = "ssh-ed25519 AAAA me"
SCRIPT = "#!/bin/sh\necho hello\n"


def settings(text: str) -> dict[str, Any]:
    header, _, body = text.partition("\n")
    assert header == "#cloud-config"
    return dict(json.loads(body))


def test_without_anything_to_set_up_there_is_no_data() -> None:
    assert user_data([], {}) == ""


def test_what_the_caller_gave_alone_is_left_as_it_is() -> None:
    assert user_data([], {"cloud_init": SCRIPT}) == SCRIPT


def test_root_logs_in_with_the_keys_and_with_the_password() -> None:
    found = settings(user_data([KEY], {"root_password": 'pa"ss:word'}))

    assert found == {
        "ssh_authorized_keys": [KEY],
        "disable_root": False,
        "chpasswd": {"expire": False, "list": 'root:pa"ss:word'},
        "ssh_pwauth": True,
    }


def test_with_keys_alone_passwords_stay_as_the_image_has_them() -> None:
    found = settings(user_data([KEY], {}))

    assert found == {"ssh_authorized_keys": [KEY], "disable_root": False}


def test_what_the_caller_gave_stands_beside_ours_unchanged() -> None:
    message = message_from_string(user_data([KEY], {"cloud_init": SCRIPT}))

    ours, theirs = message.get_payload()
    assert message.get_content_type() == "multipart/mixed"
    assert (ours.get_content_type(), theirs.get_content_type()) == (
        "text/cloud-config",
        "text/plain",
    )
    assert settings(ours.get_payload())["ssh_authorized_keys"] == [KEY]
    assert theirs.get_payload() == SCRIPT


@pytest.mark.parametrize(
    ("keys", "secrets", "field"),
    [
        ([""], {}, "ssh_keys"),
        (["ssh-ed25519 AAAA\nssh-rsa BBBB"], {}, "ssh_keys"),
        ([], {"root_password": "short"}, "root_password"),
        ([], {"root_password": "two words"}, "root_password"),
        ([], {"root_password": "пароль-пароль"}, "root_password"),
        ([KEY], {"cloud_init": "#cloud-config\nssh_authorized_keys: [x]\n"}, "cloud_init"),
        (
            [],
            {"root_password": "correct-horse", "cloud_init": "#cloud-config\nchpasswd: {}\n"},
            "cloud_init",
        ),
    ],
)
def test_what_could_not_be_set_up_as_it_was_meant_is_refused(
    keys: list[str], secrets: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_user_data(keys, secrets)

    assert refusal.value.field == field


def test_the_callers_own_keys_are_its_own_affair() -> None:
    own = {"cloud_init": "#cloud-config\nssh_authorized_keys: [x]\nchpasswd: {}\n"}

    check_user_data([], own)

    assert user_data([], own) == own["cloud_init"]
