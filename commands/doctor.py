"""``livem doctor``: is this machine fit for live processing, and what to do where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import options as opt

if TYPE_CHECKING:
    from .checks.finding import Finding


@click.command()
@click.argument("source", required=False)
@click.option("--seconds", type=opt.SECONDS, default=3.0, help="How long to listen to SOURCE; default 3.")
@opt.insecure_bind
@opt.as_json
def command(source: str | None, seconds: float, insecure_bind: bool, as_json: bool) -> int:
    """Check this machine, or listen to the detector at SOURCE and say what is heard.

    Listening takes frames out of the stream: do not do it beside a running session. Exit code 1 where
    something is a problem.

    \b
    Examples:
      livem doctor
      livem doctor tcp://10.42.41.10:9999 --seconds 10
    """
    if source is None:
        from .checks import all_findings

        findings = all_findings()
    else:
        from .listening import findings_of, listen

        findings = findings_of(listen(source, seconds, insecure_bind=insecure_bind), seconds)
    problems = sum(finding.level == "problem" for finding in findings)
    if as_json:
        _print_json(findings, problems)
    else:
        for finding in findings:
            click.echo("\n".join(finding.lines()))
        click.echo(f"\n{problems} problem{'' if problems == 1 else 's'}" if problems else "\nno problems")
    return 1 if problems else 0


def _print_json(findings: list[Finding], problems: int) -> None:
    from dataclasses import asdict

    from .. import __version__
    from .exits import print_json

    print_json({"findings": [asdict(f) for f in findings], "problems": problems, "version": __version__})
