import re

import yaml

from deploy.local import demo
from deploy.local.demo import Example


def test_a_nat_instance_is_described_in_five_fields() -> None:
    description = Example("web", "20001 30000 30025").description()

    assert re.fullmatch(r"web 20001 \S+ 30000 30025", description)


def test_an_instance_without_nat_is_described_in_three_fields() -> None:
    assert re.fullmatch(r"db 20002 \S+", Example("db", "20002").description())


def test_an_instance_without_ports_has_no_description() -> None:
    assert Example("mail").description() == ""


def test_no_two_passwords_are_alike() -> None:
    assert Example("db", "1").description() != Example("db", "1").description()


def test_the_demo_serves_the_ports_of_both_documents() -> None:
    binds = demo.documented_environment({}, is_free=lambda port: True)["FLEET_HTTP_BIND"]

    assert {"127.0.0.1:8000", "127.0.0.1:3000"} <= set(binds.split(","))


def test_a_second_port_that_is_taken_is_left_out() -> None:
    binds = demo.documented_environment({}, is_free=lambda port: port != 3000)["FLEET_HTTP_BIND"]

    assert "3000" not in binds


def test_what_the_caller_has_set_stays() -> None:
    own = {"FLEET_HTTP_BIND": "127.0.0.1:80", "FLEET_TEMPLATES_FILE": "/own.yaml"}

    assert demo.documented_environment(own) == own


def test_the_demo_offers_the_documents_template_made_of_its_own_image() -> None:
    templates = yaml.safe_load(demo.TEMPLATES.read_text())

    assert templates["ubuntu20.04"]["alias"] == demo.IMAGE
