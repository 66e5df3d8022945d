"""The doctor: what it can mend, and what its report leaves out."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubiya_workers.console import doctor, machine
from kubiya_workers.contracts.console import DoctorReport, Finding, FindingResult
from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.source import Source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source({"KUBIYA_HOME": str(tmp_path), "GROQ_API_KEY": "gsk-secret-1234", "HTTPS_PROXY": "http://u:p4ss@p:1"})


def test_a_file_of_keys_that_others_may_read_is_mended(source: Source) -> None:
    known = ClientSettings.of(source)
    known.paths.saved_environment.write_text("{}")
    known.paths.saved_environment.chmod(0o644)
    found = {finding.name: finding for finding in machine.machine(known, source)}["saved environment"]
    assert found.result is FindingResult.WARN and found.fix is not None
    doctor.fix(known, source, "saved environment")
    assert known.paths.saved_environment.stat().st_mode & 0o777 == 0o600
    found = {finding.name: finding for finding in machine.machine(known, source)}["saved environment"]
    assert found.result is FindingResult.OK and found.fix is None
    with pytest.raises(NotFound):
        doctor.fix(known, source, "disk")


def test_a_report_has_no_secret_in_any_form(source: Source) -> None:
    known = ClientSettings.of(source)
    known.paths.server.mkdir()
    known.paths.credentials.write_text("kbw_own-key-5678\n")
    said = "gsk-secret-1234 and kbw_own-key-5678 and http://u:p4ss@p:1"
    findings = (Finding(name="x", result=FindingResult.FAIL, evidence=said, remedy="do it"),)
    text = doctor.report(DoctorReport(at=datetime.now(UTC), findings=findings), known, source)
    for secret in ("gsk-secret-1234", "kbw_own-key-5678", "p4ss"):
        assert secret not in text
    assert "[fail] x:" in text and "remedy: do it" in text


def test_proxies_are_told_of_without_their_passwords(source: Source) -> None:
    found = machine.proxies(source)
    assert found.result is FindingResult.OK and found.evidence == "https through p"
    assert machine.proxies(Source({"HTTP_PROXY": "nonsense"})).result is FindingResult.FAIL


def test_a_variable_that_cannot_be_used_fails(tmp_path: Path) -> None:
    found = machine.settings(Source({"HEARTBEAT_INTERVAL": "1"}))
    assert found.result is FindingResult.FAIL and "HEARTBEAT_INTERVAL" in found.evidence
