"""The alerts that we ship, tried by promtool on series as a gateway tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemons import ROOT
from tests.support.prometheus import check_rules

RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"

CASES = """
rule_files: [RULES]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
SERIES
    alert_rule_test:
      - {eval_time: 2h, alertname: ALERT, exp_alerts: [EXPECTED]}
"""

HEALTHY = {
    'lxdfleet_snapshot_age_seconds{host="h1",project="default",name="web"}': "0+60x200",
    'lxdfleet_instance_protection{host="h1",state="protected"}': "1x200",
    'lxdfleet_instance_protection{host="h1",state="late"}': "0x200",
    'lxdfleet_instance_protection{host="h1",state="failing"}': "0x200",
    'lxdfleet_snapshot_report_age_seconds{host="h1"}': "30x200",
    'lxdfleet_snapshot_clock_trusted{host="h1"}': "1x200",
    'lxdfleet_snapshots_leads{instance="a"}': "1x200",
    'lxdfleet_snapshots_leads{instance="b"}': "0x200",
    'lxdfleet_snapshots_plans_pending{instance="a"}': "0x200",
}
OF_H1 = 'exp_labels: {severity: %s, host: h1}, exp_annotations: {summary: "%s"}'

FAULTS = {
    "SnapshotTooOld": (
        'lxdfleet_snapshot_age_seconds{host="h1",project="default",name="web"}',
        "90000+60x200",
        "exp_labels: {severity: critical, host: h1, project: default, name: web}, "
        'exp_annotations: {summary: "web on h1: the newest snapshot is 1d 3h 0m 0s old"}',
    ),
    "SnapshotsLate": (
        'lxdfleet_instance_protection{host="h1",state="late"}',
        "2x200",
        "exp_labels: {severity: warning, host: h1, state: late}, "
        'exp_annotations: {summary: "h1: snapshots of 2 instances are overdue"}',
    ),
    "SnapshotsFail": (
        'lxdfleet_instance_protection{host="h1",state="failing"}',
        "3x200",
        "exp_labels: {severity: warning, host: h1, state: failing}, "
        'exp_annotations: {summary: "h1: the last slot of 3 instances brought no snapshot"}',
    ),
    "SnapshotsNotReported": (
        'lxdfleet_snapshot_report_age_seconds{host="h1"}',
        "0+60x200",
        OF_H1 % ("critical", "h1 has not told for 2h 0m 0s what its snapshots are"),
    ),
    "SnapshotsNotPruned": (
        'lxdfleet_snapshot_clock_trusted{host="h1"}',
        "0x200",
        OF_H1
        % (
            "warning",
            "h1 deletes no old snapshots: its clock differs from the centre's, or has jumped",
        ),
    ),
    "NobodyMakesSnapshotPlans": (
        'lxdfleet_snapshots_leads{instance="a"}',
        "0x200",
        "exp_labels: {severity: warning}, exp_annotations: {summary: "
        '"No snapshots service leads: hosts go on with the plans that they have"}',
    ),
    "SnapshotPlansNotDelivered": (
        'lxdfleet_snapshots_plans_pending{instance="a"}',
        "5x200",
        "exp_labels: {severity: warning, instance: a}, "
        'exp_annotations: {summary: "5 hosts do not carry out their newest plan"}',
    ),
}


def cases(series: dict[str, str], alert: str, expected: str) -> str:
    lines = [f"      - {{series: '{name}', values: '{values}'}}" for name, values in series.items()]
    filled = CASES.replace("SERIES", "\n".join(lines)).replace("ALERT", alert)
    return filled.replace("EXPECTED", f"{{{expected}}}" if expected else "")


@pytest.mark.parametrize("alert", [*FAULTS, "SnapshotsUnknown"])
def test_a_fleet_whose_snapshots_are_taken_raises_no_alert(alert: str, tmp_path: Path) -> None:
    check_rules(RULES, cases(HEALTHY, alert, ""), tmp_path)


@pytest.mark.parametrize("alert", FAULTS)
def test_each_alert_fires_for_its_fault(alert: str, tmp_path: Path) -> None:
    series, values, expected = FAULTS[alert]

    check_rules(RULES, cases(HEALTHY | {series: values}, alert, expected), tmp_path)


def test_a_fleet_that_tells_nothing_at_all_raises_an_alert(tmp_path: Path) -> None:
    expected = (
        "exp_labels: {severity: critical}, "
        'exp_annotations: {summary: "No gateway tells how instances are protected"}'
    )

    check_rules(RULES, cases({"up": "1x200"}, "SnapshotsUnknown", expected), tmp_path)
