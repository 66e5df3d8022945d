"""`kubiya doctor`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.console.doctor import all_findings
from kubiya_workers.contracts.console import Finding, FindingResult
from kubiya_workers.settings.source import Source

from ..connect import reach, settings
from ..output import Format, output_option, show_plain
from ..render.neutral import neutral
from ..running import run

_MARKS = {FindingResult.OK: "✓", FindingResult.WARN: "!", FindingResult.FAIL: "✗", FindingResult.SKIP: "-"}


@click.command("doctor")
@output_option
def command(output: Format) -> int:
    """Check that everything needed is there and works.

    Each check says what was seen, and what to do about it. Exit status 1 when one failed.
    """
    findings = run(all_findings(settings(), Source.of_process(), _control_plane))
    show_plain([finding.model_dump(mode="json") for finding in findings], output, _text(findings))
    return 1 if any(finding.result is FindingResult.FAIL for finding in findings) else 0


@asynccontextmanager
async def _control_plane() -> AsyncGenerator[ControlPlaneClient]:
    """An embedded one that does not run is started to be asked."""
    async with reach(settings(), lambda _: None) as reached:
        yield reached.client


def _text(findings: list[Finding]) -> str:
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.result]} {finding.name:<{width}}  {neutral(finding.evidence)}")
        if finding.remedy:
            lines.append(f"  {'':<{width}}  → {neutral(finding.remedy)}")
    return "\n".join(lines)
