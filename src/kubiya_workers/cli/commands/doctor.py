"""`kubiya doctor`."""

import click

from kubiya_workers.settings.source import Source

from ..checks import Finding, Result, all_findings
from ..connect import settings
from ..output import Format, output_option, show_plain
from ..render.neutral import neutral
from ..running import run

_MARKS = {Result.OK: "✓", Result.WARN: "!", Result.FAIL: "✗", Result.SKIP: "-"}


@click.command("doctor")
@output_option
def command(output: Format) -> int:
    """Check that everything needed is there and works.

    Each check says what was seen, and what to do about it. Exit status 1 when one failed.
    """
    findings = run(all_findings(settings(), Source.of_process()))
    show_plain([finding.model_dump(mode="json") for finding in findings], output, _text(findings))
    return 1 if any(finding.result is Result.FAIL for finding in findings) else 0


def _text(findings: list[Finding]) -> str:
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.result]} {finding.name:<{width}}  {neutral(finding.evidence)}")
        if finding.remedy:
            lines.append(f"  {'':<{width}}  → {neutral(finding.remedy)}")
    return "\n".join(lines)
