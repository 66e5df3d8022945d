"""What is monitored exists: every metric and label in rules and dashboard is on a page of the real classes."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.monitoring import MONITORING, a_plane_page, a_worker_page, promtool

FROM_OUTSIDE = {"up"}
"""What Prometheus makes itself."""
OF_PROMETHEUS = {"job", "instance", "le"}

Labels = Mapping[str, set[str]]


@pytest.fixture
def pages(tmp_path: Path) -> tuple[bytes, bytes]:
    return a_worker_page(tmp_path), a_plane_page(tmp_path)


@pytest.fixture
def exported(pages: tuple[bytes, bytes]) -> Labels:
    """The labels of every series, by its name as PromQL sees it."""
    found: dict[str, set[str]] = {}
    for page in pages:
        for family in text_string_to_metric_families(page.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every rule and panel."""
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if "definition" in variable:
            yield variable["name"], variable["definition"]


def metrics_in(expression: str) -> set[str]:
    """Names with our prefixes; those of Temporal's SDK are looked for on a real worker's page."""
    return set(re.findall(r"\b(?:kubiya|process)_[a-z_]+\b", expression)) | (
        {"up"} if re.search(r"\bup\{", expression) else set()
    )


def test_every_metric_that_is_watched_exists(exported: Labels) -> None:
    for where, expression in expressions():
        missing = metrics_in(expression) - exported.keys() - FROM_OUTSIDE
        assert not missing, (where, missing)


def test_every_label_that_is_asked_for_exists(exported: Labels) -> None:
    for where, expression in expressions():
        for name, matchers in re.findall(r"\b((?:kubiya|process)_[a-z_]+)\{([^}]*)\}", expression):
            asked = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", matchers))
            assert asked <= exported[name] | OF_PROMETHEUS, (where, name, asked - exported[name])


def test_every_label_that_is_grouped_by_or_shown_exists(exported: Labels) -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            known = OF_PROMETHEUS.union(*(exported.get(name, set()) for name in metrics_in(expression)))
            if "temporal_" in expression:
                continue
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
            assert shown | grouped <= known, (panel["title"], (shown | grouped) - known)


def test_the_manual_names_every_series(exported: Labels) -> None:
    manual = (MONITORING / "README.md").read_text()
    for name in exported:
        if name.startswith("kubiya"):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in manual, name


def test_promtool_accepts_rules_and_their_tests() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "alerts_test.yml")


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    tests = (MONITORING / "alerts_test.yml").read_text()
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert f"name: {rule['alert']} fires" in tests
            assert f"name: {rule['alert']} is quiet" in tests
            assert {"summary", "description", "runbook"} <= rule["annotations"].keys()
            assert rule["labels"]["severity"] in ("warning", "critical")


def test_promtool_accepts_the_pages(pages: tuple[bytes, bytes]) -> None:
    for page in pages:
        promtool("check", "metrics", stdin=page)


def test_panels_do_not_overlap() -> None:
    panels: list[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own
    assert len({panel["id"] for panel in panels}) == len(panels)
