# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration, what outlives the process, and the command line."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon import cli, clock, state
from ansible_collections.chainops.infra.plugins.module_utils.chain_daemon import config as configuration

from tests.unit.plugins.module_utils.chain.servers import closed_port

SOUND = {"execution_url": "http://127.0.0.1:8545", "consensus_url": "http://127.0.0.1:3500"}


def written(tmp_path, value):
    path = tmp_path / "config.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


class TestConfig:
    def test_least(self, tmp_path):
        config = configuration.load(written(tmp_path, SOUND))
        assert (config.http_port, config.agent_port, config.interval) == (8740, 8741, 1.0)
        assert config.policy.max_age_seconds == 60
        assert config.max_silence == pytest.approx(3.2)

    def test_all(self, tmp_path):
        reference = {"name": "a", "execution_url": "http://a:1", "consensus_url": "http://a:2"}
        raw = SOUND | {
            "references": [reference, {"name": "b", "execution_url": "https://b"}],
            "policy": {"slot_seconds": 2},
            "chain_id": 5,
            "genesis_hash": "0x00",
            "disks": [{"path": "/d", "min_free_bytes": 5}],
        }
        config = configuration.load(written(tmp_path, raw))
        assert config.references[1].consensus_url is None
        assert config.identity.chain_id == 5
        assert config.disks[0].min_free_bytes == 5

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"execution_url": "127.0.0.1"}, "execution_url: URL"),
            ({"consensus_url": "ftp://x"}, "consensus_url: URL"),
            ({"references": [{"name": "a", "execution_url": "x"}]}, "execution_url of reference a"),
            ({"references": [{"name": "a", "execution_url": "http://u:pw@x"}]}, "user or password"),
            (
                {
                    "references": [
                        {"name": "a", "execution_url": "http://x"},
                        {"name": "a", "execution_url": "http://y"},
                    ]
                },
                "two references are named 'a'",
            ),
            ({"references": [{"name": "a"}]}, "execution_url"),
            ({"references": [{"name": "a", "execution_url": "http://x", "url": 1}]}, "unknown: url"),
            ({"clock": "chrony"}, "clock is 'chrony', it must be one of kernel, off"),
            ({"interval": 0}, "interval is 0"),
            ({"timeout": 90}, "timeout is 90"),
            ({"http_port": 70000}, "http_port is 70000"),
            ({"http_port": 9, "agent_port": 9}, "both 9"),
            ({"listen": []}, "listen is empty"),
            ({"policy": {"max_age_slots": 1}}, "max_age_slots is 1"),
            ({"polcy": {}}, "unknown: polcy"),
            ({"ca_path": "/nonexistent", "execution_url": "https://x"}, "execution_url"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, change, says):
        path = written(tmp_path, SOUND | change)
        with pytest.raises(ValueError, match="config.json") as refusal:
            configuration.load(path)
        assert says in str(refusal.value)
        assert "pw" not in str(refusal.value)

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
    def test_no_configuration(self, tmp_path, text):
        with pytest.raises(ValueError, match="config.json"):
            configuration.load(written(tmp_path, text))


class TestDrainFile:
    def test_there_and_back(self, tmp_path):
        drains = state.DrainFile(str(tmp_path))
        assert drains.current is None
        first = drains.set("disk", "ops")
        assert state.DrainFile(str(tmp_path)).current == first
        second = drains.set("memory", "dev")
        assert (second.reason, second.who, second.since) == ("memory", "dev", first.since)
        assert drains.clear()
        assert not drains.clear()
        assert state.DrainFile(str(tmp_path)).current is None

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"reason": "x"}', '{"reason": "x", "who": "y", "since": "z"}'])
    def test_an_unreadable_file_counts_as_a_drain(self, tmp_path, content):
        (tmp_path / "drain.json").write_text(content)
        drains = state.DrainFile(str(tmp_path))
        assert drains.current is not None
        assert "unreadable" in drains.current.reason
        drains.clear()
        assert state.DrainFile(str(tmp_path)).current is None


class TestAdmissionFile:
    def test_is_believed_for_a_while(self, tmp_path, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr(state.AdmissionFile, "_now", staticmethod(lambda: now[0]))
        file = state.AdmissionFile(str(tmp_path))
        assert not file.admitted_recently()
        file.note(True)
        for later, believed in ((0, True), (29, True), (31, False), (-1, False)):
            now[0] = 1000.0 + later
            assert state.AdmissionFile(str(tmp_path)).admitted_recently() is believed

    def test_an_ejection_is_written_at_once(self, tmp_path):
        file = state.AdmissionFile(str(tmp_path))
        file.note(True)
        file.note(False)
        assert not file.admitted_recently()

    def test_is_kept_fresh_without_writing_every_time(self, tmp_path, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr(state.AdmissionFile, "_now", staticmethod(lambda: now[0]))
        file = state.AdmissionFile(str(tmp_path))
        writes = set()
        for _number in range(60):
            file.note(True)
            writes.add((tmp_path / "admission.json").read_text())
            now[0] += 1
            assert file.admitted_recently()
        assert len(writes) == 6

    def test_nowhere_to_write_is_no_error(self):
        file = state.AdmissionFile("/nonexistent/dir")
        file.note(True)
        assert not file.admitted_recently()


class TestCommandLine:
    def run(self, tmp_path, port, *arguments):
        path = written(tmp_path, SOUND | {"http_port": port, "agent_port": port + 1 if port else 0})
        return cli.main(["--config", path, *arguments])

    def test_status_drain_undrain(self, start, tmp_path, capsys):
        daemon = start()
        daemon.until_up()
        port = daemon.daemon.http_port
        assert self.run(tmp_path, port, "status") == 0
        assert "in service: healthy" in capsys.readouterr().out
        assert self.run(tmp_path, port, "drain", "--reason", "new disk", "--who", "me") == 0
        assert "OUT OF SERVICE: drained by me: new disk" in capsys.readouterr().out
        assert self.run(tmp_path, port, "status", "--json") == 1
        assert json.loads(capsys.readouterr().out)["drain"]["who"] == "me"
        assert self.run(tmp_path, port, "undrain") == 0
        assert self.run(tmp_path, port, "status") == 0

    def test_status_of_a_bad_node_says_what_and_why(self, start, site, tmp_path, capsys):
        site.pair.chain_id = 1
        daemon = start(disks=[{"path": "/", "min_free_bytes": 1}, {"path": "/nonexistent", "min_free_bytes": 1}])
        daemon.wait(lambda d: d.status())
        assert self.run(tmp_path, daemon.daemon.http_port, "status") == 1
        out = capsys.readouterr().out
        for part in ("OUT OF SERVICE", "forked", "chain id 1, expected", "stays out", "reference a: head", "disk /:"):
            assert part in out

    def test_a_daemon_that_does_not_answer(self, tmp_path, capsys):
        assert self.run(tmp_path, closed_port(), "status") == 2
        assert "systemctl status chain_health" in capsys.readouterr().err

    def test_an_empty_reason_is_refused(self, start, tmp_path, capsys):
        daemon = start()
        daemon.wait(lambda d: d.status())
        assert self.run(tmp_path, daemon.daemon.http_port, "drain", "--reason", " ") == 2
        assert "400" in capsys.readouterr().err

    def test_check(self, tmp_path, capsys):
        assert self.run(tmp_path, 1234, "check") == 0
        bad = written(tmp_path, {"interval": 0})
        assert cli.main(["--config", bad, "check"]) == 2
        assert "config.json" in capsys.readouterr().err

    def test_no_configuration_file(self, tmp_path, capsys):
        assert cli.main(["--config", str(tmp_path / "none"), "run"]) == 2
        assert "No such file" in capsys.readouterr().err

    def test_before_the_first_sample(self):
        text = cli.describe({"in_service": False, "reason": "not looked at", "drain": None, "state": "unknown"})
        assert text == "OUT OF SERVICE: not looked at"


def test_the_kernels_clock():
    """Whatever this machine's clock is: an answer, or why there is none."""
    reading = clock.kernel_clock()
    assert reading.problem or isinstance(reading.synchronised, bool)
    assert time.time() > 0
