"""The report of the data layer, on the converged lab: every store has its block, every host its row."""

from __future__ import annotations

from pathlib import Path

from tests.lab.data import names
from tests.lab.site import Site


def test_status_in_the_terminal_and_as_one_page(site: Site, tmp_path: Path) -> None:
    page = tmp_path / "status.html"
    run = site.play(f"{names.OPERATIONS}.data_status", "-e", f"data_status_page={page}").check()
    assert not run.changed, run.output[-3000:]
    lines = run.output.splitlines()
    for host in names.POSTGRESQL:
        row = next(line.split() for line in lines if line.split()[:1] == [host])
        assert {"running", "streaming"} & set(row), run.output[-6000:]
    for title in (
        "POSTGRESQL: cluster ",
        "ETCD: ",
        "BACKUPS OF POSTGRESQL: ",
        "REDIS: ",
        f"INFLUXDB: {names.INFLUXDB}: ",
    ):
        assert [line for line in lines if line.startswith(title)], f"no block {title}:\n{run.output[-6000:]}"
    assert "data layer: " in run.output
    text = page.read_text(encoding="utf-8")
    assert all(
        host in text for host in (*names.POSTGRESQL, *names.ETCD, names.REPOSITORY, names.OFFSITE, names.INFLUXDB)
    )
    for elsewhere in ("<script", 'http-equiv="refresh', 'src="http', 'href="http', "@import"):
        assert elsewhere not in text, f"the page needs something else: {elsewhere}"
