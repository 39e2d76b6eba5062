"""The module release: what it installs, what it refuses, and what is left of it when it is killed anywhere."""

from __future__ import annotations

import io
import signal
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.releases import Mirror, Signer, certificate, executable, run_module, sha256, tarball

# Attempts follow each other without a pause, so that a case does not take three seconds.
HASTE = "from ansible_collections.chainops.infra.plugins.module_utils.release import download; download.PAUSE = 0.01"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    server = Mirror()
    yield server
    server.close()


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    key = Signer(tmp_path_factory.mktemp("gpg") / "upstream", "upstream")
    yield key
    key.close()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    key = Signer(tmp_path_factory.mktemp("gpg") / "stranger", "stranger")
    yield key
    key.close()


class Site:
    """A host's release directory and the releases to put there."""

    def __init__(self, root: Path, mirror: Mirror, name: str):
        self.root, self.mirror, self.name = root, mirror, name
        self.base = root / "geth"

    def release(self, version: str, content: bytes | None = None, **options: Any) -> dict[str, Any]:
        """Publish a version as upstream does and return the module's arguments for it."""
        top = f"geth-linux-amd64-{version}"
        body = tarball({f"{top}/COPYING": b"GPL", f"{top}/geth": content or executable(version)})
        url = self.mirror.publish(f"/{self.name}/{top}.tar.gz", body)
        return {
            "name": "geth", "version": version, "url": url, "checksum": sha256(body),
            "binaries": [f"{top}/geth"], "root": str(self.root), **options,
        }  # fmt: skip

    def file(self, body: bytes, path: str = "geth", **how: Any) -> dict[str, Any]:
        """Publish one bare file, served as told."""
        url = self.mirror.publish(f"/{self.name}/{path}", body, **how)
        return {
            "name": "geth", "version": "1.0", "url": url, "checksum": sha256(body), "archive": "auto",
            "binaries": ["geth"], "root": str(self.root), "timeout": 20,
        }  # fmt: skip

    def run(self, args: dict[str, Any], **how: Any) -> dict[str, Any]:
        answer, code, output = run_module(args, **how)
        assert answer is not None and code == 0, output
        return answer

    def refused(self, args: dict[str, Any], **how: Any) -> str:
        """Run it, expect a failure that changes nothing, return the message."""
        before = self.state()
        answer, code, output = run_module(args, **how)
        assert answer is not None and code == 1, output
        assert "Traceback" not in output
        assert self.state() == before
        assert not self.rubbish()
        return answer["msg"]

    def state(self) -> dict[str, str]:
        """Everything below the directory but the lock: path to content or link target."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_symlink():
                found[str(path.relative_to(self.root))] = f"-> {path.readlink()}"
            elif path.is_file() and path.name != ".lock":
                found[str(path.relative_to(self.root))] = path.read_bytes().hex()
        return found

    def rubbish(self) -> list[str]:
        return [path.name for path in self.base.glob(".*") if path.name.startswith((".staging", ".trash", ".new"))]

    def current(self) -> str:
        return str((self.base / "current").readlink())

    def answer(self) -> str:
        """What the current executable says."""
        return subprocess.run(
            [self.base / "current" / "geth"], capture_output=True, text=True, check=True
        ).stdout.strip()


@pytest.fixture
def site(tmp_path, mirror, request):
    return Site(tmp_path / "opt", mirror, request.node.name.replace("/", "_"))


def signed(args: dict[str, Any], site: Site, key: Signer, **how: Any) -> dict[str, Any]:
    """Add a signature of the file to a release's arguments."""
    path = args["url"].removeprefix(site.mirror.base)
    body = how.pop("data", site.mirror.pages[path].body)
    url = site.mirror.publish(f"{path}.asc", key.sign(body, **how))
    return {**args, "signature_url": url, "signing_key": key.public(), "fingerprint": key.fingerprint}


# --- installing


def test_first_install_then_nothing_to_do(site):
    args = site.release("1.17.6")
    first = site.run(args)
    assert (first["changed"], first["action"], first["version"], first["previous_version"]) == (
        True,
        "installed",
        "1.17.6",
        None,
    )
    assert first["path"] == str(site.base / "1.17.6") and first["current"] == str(site.base / "current")
    assert first["diff"]["before"] == "current: nothing\n" and first["diff"]["after"] == "current: 1.17.6\n"
    assert site.answer() == "1.17.6"
    assert stat.S_IMODE((site.base / "1.17.6" / "geth").stat().st_mode) == 0o755
    assert stat.S_IMODE((site.base / "1.17.6").stat().st_mode) == 0o755
    asked = len(site.mirror.asked)
    second = site.run(args)
    assert (second["changed"], second["action"]) == (False, "none")
    assert len(site.mirror.asked) == asked, "a verified version was downloaded again"


def test_upgrade_keeps_the_previous_version_and_prunes_the_rest(site):
    for version in ("1.17.4", "1.17.6"):
        site.run(site.release(version))
    third = site.run(site.release("1.17.8"))
    assert third["previous_version"] == "1.17.6" and third["removed"] == ["1.17.4"]
    assert sorted(path.name for path in site.base.iterdir() if path.name[0] != ".") == ["1.17.6", "1.17.8", "current"]
    assert site.run(site.release("1.17.8"))["previous_version"] == "1.17.6"
    assert site.answer() == "1.17.8"


def test_keep_is_enforced_when_lowered(site):
    for version in ("1", "2", "3"):
        args = site.release(version, keep=3)
        site.run(args)
    assert site.run({**args, "keep": 1}, check=True)["removed"] == ["2", "1"]
    lowered = site.run({**args, "keep": 1})
    assert (lowered["changed"], lowered["action"], lowered["removed"]) == (True, "pruned", ["2", "1"])
    assert not site.run({**args, "keep": 1})["changed"]


def test_back_to_a_version_on_disk_needs_no_download(site):
    old = site.release("1.17.6")
    site.run(old)
    site.run(site.release("1.17.8"))
    site.mirror.pages.clear()
    back = site.run(old)
    assert (back["action"], back["previous_version"], site.answer()) == ("switched", "1.17.8", "1.17.6")


def test_check_mode_says_it_and_changes_nothing(site):
    args = site.release("1.17.6")
    said = site.run(args, check=True)
    assert said["changed"] and said["action"] == "installed" and not site.root.exists()
    site.run(args)
    before = site.state()
    said = site.run(site.release("1.17.8"), check=True)
    assert said["changed"] and said["previous_version"] == "1.17.6" and site.state() == before
    assert not site.run(args, check=True)["changed"]


def test_a_hardened_umask_does_not_shut_the_service_out(site):
    site.run(site.release("1.17.6"), prelude="import os; os.umask(0o077)")
    for path in (site.root, site.base, site.base / "1.17.6", site.base / "1.17.6" / "geth"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755, path


@pytest.mark.parametrize("damage", ["content", "missing", "mode", "link"])
def test_tampering_is_found_repaired_and_said(site, damage):
    args = site.release("1.17.6")
    site.run(args)
    binary = site.base / "1.17.6" / "geth"
    if damage == "content":
        binary.write_bytes(binary.read_bytes().replace(b"echo", b"evil"))
    elif damage == "mode":
        binary.chmod(0o4777)
    else:
        binary.unlink()
        if damage == "link":
            binary.symlink_to("/bin/true")
    expected = {"content": "SHA-256 differs", "missing": "is missing", "mode": "mode 4777", "link": "no plain file"}[
        damage
    ]
    repaired = site.run(args)
    assert (repaired["changed"], repaired["action"]) == (True, "repaired") and expected in repaired["msg"]
    assert expected in repaired["diff"]["before"]
    assert site.answer() == "1.17.6" and not site.run(args)["changed"]


def test_a_new_pin_for_the_same_version_is_installed_anew(site):
    site.run(site.release("1.17.6"))
    again = site.run(site.release("1.17.6", executable("rebuilt")))
    assert again["action"] == "repaired" and "was installed with checksum" in again["msg"]
    assert site.answer() == "rebuilt"


def test_a_link_that_leads_elsewhere_is_corrected(site):
    args = site.release("1.17.6")
    site.run(args)
    (site.base / "current").unlink()
    (site.base / "current").symlink_to("/usr/local/geth")
    assert site.run(args)["action"] == "switched" and site.current() == "1.17.6"


def test_a_directory_in_the_links_place_is_left_alone(site):
    (site.base / "current").mkdir(parents=True)
    assert "move it away" in site.refused(site.release("1.17.6"))


def test_zip_and_several_binaries(site):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("bin/one", "bin/two", "README"):
            archive.writestr(name, executable(name))
    args = site.file(buffer.getvalue(), "tools.zip")
    site.run({**args, "binaries": ["bin/one", "bin/two"]})
    assert sorted(path.name for path in (site.base / "1.0").iterdir()) == [".release.json", "one", "two"]


# --- signatures


@pytest.mark.parametrize("armor", [True, False])
def test_a_good_signature(site, signer, armor):
    args = signed(site.release("1.17.6"), site, signer, armor=armor)
    assert site.run(args)["changed"] and site.answer() == "1.17.6"
    assert not site.run({**args, "fingerprint": " ".join(args["fingerprint"])})["changed"]


def test_a_signature_asked_for_later_is_checked(site, signer):
    site.run(site.release("1.17.6"))
    later = site.run(signed(site.release("1.17.6", (site.base / "1.17.6" / "geth").read_bytes()), site, signer))
    assert later["action"] == "repaired" and "signer" in later["msg"]


def test_an_expired_subkey_does_not_spoil_a_good_signature(site, tmp_path):
    key = Signer(tmp_path / "old", "old", made="20200101T000000")
    try:
        clock, key._clock = key._clock, ["--faked-system-time", "20200102T000000"]
        key._gpg("--quick-add-key", key.fingerprint, "ed25519", "sign", "1d")
        key._clock = clock
        assert site.run(signed(site.release("1.17.6"), site, key))["changed"]
    finally:
        key.close()


def test_wrong_signer(site, signer, stranger):
    args = signed(site.release("1.17.6"), site, stranger)
    message = site.refused({**args, "signing_key": signer.public(), "fingerprint": signer.fingerprint})
    assert "wrong signer" in message and signer.fingerprint in message


def test_another_key_in_the_same_text_is_not_accepted(site, signer, stranger):
    args = signed(site.release("1.17.6"), site, stranger)
    both = signer.public() + stranger.public()
    message = site.refused({**args, "signing_key": both, "fingerprint": signer.fingerprint})
    assert "wrong signer" in message and stranger.fingerprint in message


def test_signature_of_other_bytes(site, signer):
    args = signed(site.release("1.17.6"), site, signer, data=b"something else")
    assert "does not fit the file" in site.refused(args)


def test_expired_key(site, tmp_path):
    key = Signer(tmp_path / "expired", "expired", expires="1d", made="20200101T000000")
    try:
        message = site.refused(signed(site.release("1.17.6"), site, key))
        assert "expired on 2020-01-02" in message and "renewed key" in message
    finally:
        key.close()


def test_revoked_key(site, tmp_path):
    key = Signer(tmp_path / "revoked", "revoked")
    try:
        args = signed(site.release("1.17.6"), site, key)
        assert "revoked" in site.refused({**args, "signing_key": key.revoked()})
    finally:
        key.close()


def test_expired_signature(site, tmp_path):
    key = Signer(tmp_path / "shortlived", "shortlived", made="20200101T000000")
    try:
        args = signed(site.release("1.17.6"), site, key, options=("--default-sig-expire", "1d"))
        assert "signature itself has expired" in site.refused(args)
    finally:
        key.close()


def test_no_signature_in_the_signature_file(site, signer):
    args = signed(site.release("1.17.6"), site, signer)
    site.mirror.publish(args["signature_url"].removeprefix(site.mirror.base), b"<html>login</html>")
    assert "cannot be checked" in site.refused(args)


def test_missing_signature(site, signer):
    args = signed(site.release("1.17.6"), site, signer)
    del site.mirror.pages[args["signature_url"].removeprefix(site.mirror.base)]
    assert "404" in site.refused(args)


def test_key_faults_are_told_before_anything_is_asked(site, signer, stranger):
    args = signed(site.release("1.17.6"), site, signer)
    asked = len(site.mirror.asked)
    cases = {
        stranger.fingerprint: "is not in signing_key, which holds " + signer.fingerprint,
        signer.fingerprint[-16:]: "whole fingerprint",
    }
    for fingerprint, expected in cases.items():
        assert expected in site.refused({**args, "fingerprint": fingerprint})
    text = signer.public()
    damaged = text.replace(text.splitlines()[3][5:9], "AAAA")
    assert "damaged" in site.refused({**args, "signing_key": damaged})
    assert "armored OpenPGP" in site.refused({**args, "signing_key": "ssh-ed25519 AAAA"})
    assert "SECRET" in site.refused({**args, "signing_key": signer.secret().replace("PRIVATE", "PUBLIC")})
    assert len(site.mirror.asked) == asked


def test_gpgv_missing(site, signer, tmp_path):
    args = signed(site.release("1.17.6"), site, signer)
    hide = "import ansible.module_utils.basic as b; b.AnsibleModule.get_bin_path = lambda *a, **k: None"
    assert "apt-get install gpgv" in site.refused(args, prelude=hide)


# --- downloads


def test_wrong_checksum(site):
    args = site.release("1.17.6")
    wanted = sha256(b"other")
    message = site.refused({**args, "checksum": wanted})
    assert args["checksum"] in message and wanted in message


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"send": 1000}, "truncated: 1000 of 30000 bytes"),
        ({"send": 1000, "chunked": True}, "broke off after"),
        ({"announce": 20000}, "checksum"),
        ({"announce": 40000}, "truncated: 30000 of 40000 bytes"),
        ({"status": 404}, "answered 404 Not Found"),
        ({"status": 503}, "answered 503 Service Unavailable (attempt 3 of 3)"),
        ({"status": 403}, "answered 403 Forbidden"),
        ({"announce": 5_000_000_000}, "5000000000 bytes announced"),
        (
            {"status": 302, "headers": {"Location": "http://192.0.2.1/geth"}},
            "plain http only to this host's own loopback",
        ),
        ({"status": 302, "headers": {"Location": "ftp://127.0.0.1/geth"}}, "must be an https URL"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(map(str, value))[:30],
)
def test_bad_answers(site, how, expected):
    args = site.file(executable("x", size=30000), **how)
    assert expected in site.refused(args, prelude=HASTE)


def test_redirect_in_a_circle(site):
    args = site.file(b"", status=302, headers={"Location": f"/{site.name}/geth"})
    assert "redirects" in site.refused(args)


def test_a_redirect_is_followed(site):
    body = executable("moved")
    real = site.mirror.publish(f"/{site.name}/real", body)
    args = site.file(b"", status=302, headers={"Location": real})
    site.run({**args, "checksum": sha256(body)})
    assert site.answer() == "moved"


def test_a_passing_fault_is_survived(site):
    site.run(site.file(executable("third time"), fail_first=2), prelude=HASTE)
    assert site.answer() == "third time"


def test_a_chunked_answer_without_a_length(site):
    site.run(site.file(executable("chunks", size=5000), chunked=True))


def test_too_slow(site):
    args = site.file(executable("slow", size=30000), trickle=0.2)
    assert "not through in the time given" in site.refused({**args, "timeout": 2})


def test_no_answer(site):
    args = site.file(executable("late"), pause=4)
    assert "no answer within" in site.refused({**args, "timeout": 2})


def test_nobody_listens_and_nobody_is_there(site):
    args = site.file(b"")
    assert "no connection: Connection refused" in site.refused({**args, "url": "http://127.0.0.1:1/geth", "timeout": 2})
    message = site.refused({**args, "url": "https://release.invalid/geth", "timeout": 2})
    assert "cannot be resolved" in message


def test_tls(site, tmp_path):
    body = executable("secure")
    server, other = Mirror(certificate(tmp_path)), tmp_path / "other"
    other.mkdir()
    try:
        url = server.publish("/geth", body)
        args = {**site.file(body), "url": url}
        assert "certificate is not trusted" in site.refused(args)
        assert "certificate is not trusted" in site.refused({**args, "ca_path": str(certificate(other))})
        assert "does not exist" in site.refused({**args, "ca_path": str(tmp_path / "none.pem")})
        assert "certificate is not trusted" in site.refused(
            {**args, "url": url.replace("127.0.0.1", "localhost"), "ca_path": str(tmp_path / "127.0.0.1.pem")}
        )
        server.publish("/down", b"", status=302, headers={"Location": site.mirror.base + "/geth"})
        message = site.refused({**args, "url": server.base + "/down", "ca_path": str(tmp_path / "127.0.0.1.pem")})
        assert "not https: refused" in message
        assert site.run({**args, "ca_path": str(tmp_path / "127.0.0.1.pem")})["changed"]
    finally:
        server.close()


def test_no_secret_of_a_url_is_repeated(site):
    args = site.file(b"", status=404)
    answer, _code, _output = run_module({**args, "url": args["url"] + "?sig=CANARY"})
    assert "404" in answer["msg"] and "CANARY" not in answer["msg"]
    answer, _code, _output = run_module({**args, "url": "https://me:CANARY@mirror.invalid/x"})
    assert "user or password" in answer["msg"] and "CANARY" not in answer["msg"]


# --- archives


def _changed(**values: Any):
    def change(info: tarfile.TarInfo) -> tarfile.TarInfo:
        if info.name == "bad":
            for name, value in values.items():
                setattr(info, name, value)
        return info

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "../../etc/cron.d/x"}, "reaches out of the archive"),
        ({"name": "/etc/cron.d/x"}, "reaches out of the archive"),
        ({"mode": 0o4755}, "is setuid"),
        ({"type": tarfile.CHRTYPE}, "is a device"),
        ({"type": tarfile.SYMTYPE, "linkname": "/bin/sh", "name": "geth"}, "there twice"),
    ],
    ids=["dotdot", "absolute", "setuid", "device", "twice"],
)
def test_unsafe_archives(site, change, expected):
    body = tarball({"geth": executable("x"), "bad": b""}, _changed(**change))
    assert expected in site.refused(site.file(body, "geth.tar.gz"))


def test_a_binary_that_is_a_link(site):
    body = tarball({"bad": b""}, _changed(type=tarfile.SYMTYPE, linkname="/bin/sh", name="geth"))
    assert "is a link, not a file" in site.refused(site.file(body, "geth.tar.gz"))


def test_a_missing_binary_names_what_is_there(site):
    message = site.refused(site.file(tarball({"README": b"x", "lib/other": b"y"}), "geth.tar.gz"))
    assert "holds no geth" in message and "README, lib/other" in message


@pytest.mark.parametrize("name", ["geth.tar.gz", "geth.zip"])
def test_not_an_archive(site, name):
    assert "not a readable" in site.refused(site.file(executable("x"), name))


def test_a_broken_archive(site):
    body = tarball({"geth": executable("x", size=100000)})
    assert "not a readable tar" in site.refused(site.file(body[:50000], "geth.tar.gz"))


def test_wrong_machine_and_no_machine(site):
    assert "built for aarch64" in site.refused(site.file(executable("x", machine=183)))
    assert "neither an ELF executable nor a script" in site.refused(site.file(b"<html>moved</html>"))
    assert site.run(site.file(executable("x", machine=62)))["changed"]


# --- options


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"checksum": "md5:abc"}, "checksum: must be sha256:"),
        ({"checksum": "sha256:" + "g" * 64}, "checksum: must be sha256:"),
        ({"version": "../etc"}, "version:"),
        ({"version": "current"}, "version:"),
        ({"name": "a/b"}, "name:"),
        ({"url": "http://mirror.example/geth"}, "plain http"),
        ({"url": "file:///etc/passwd"}, "must be an https URL"),
        ({"binaries": []}, "binaries:"),
        ({"binaries": ["a", "b"]}, "a file that is no archive holds one"),
        ({"binaries": ["../geth"]}, "binaries:"),
        ({"keep": 0}, "keep:"),
        ({"signature_url": "https://x.example/a"}, "required together"),
        ({"checksum": None}, "checksum"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value)[:40],
)
def test_wrong_options(site, change, expected):
    args = {**site.file(executable("x")), **change}
    answer, code, output = run_module({name: value for name, value in args.items() if value is not None})
    assert code == 1 and expected in answer["msg"], output
    assert not site.root.exists()


# --- rollback and removal, as a playbook asks for them


def test_rollback_and_removal_through_the_module(site):
    site.run(site.release("1.17.6"))
    upgraded = site.run(site.release("1.17.8"))
    where = {"name": "geth", "root": str(site.root)}
    back = site.run({**where, "state": "rolled_back", "version": upgraded["previous_version"]})
    assert (back["changed"], back["version"], back["previous_version"], site.answer()) == (
        True,
        "1.17.6",
        "1.17.8",
        "1.17.6",
    )
    assert back["diff"]["before"] == "current: 1.17.8\n" and back["diff"]["after"] == "current: 1.17.6\n"
    assert not site.run({**where, "state": "rolled_back", "version": "1.17.6"})["changed"]
    assert "is the current version" in site.refused({**where, "state": "absent", "version": "1.17.6"})
    gone = site.run({**where, "state": "absent"})
    assert gone["version"] is None and gone["path"] is None and not site.base.exists()
    assert not site.run({**where, "state": "absent"})["changed"]


# --- killed from outside while the network is what it waits for


def test_killed_during_the_download(site):
    site.run(site.release("1.17.6"))
    args = site.release("1.17.8", executable("1.17.8", size=200_000))
    page = site.mirror.pages[args["url"].removeprefix(site.mirror.base)]
    page.trickle = 0.01
    suicide = "import os, signal, threading; threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGKILL)).start()"
    answer, code, _output = run_module(args, prelude=suicide)
    assert answer is None and code == -signal.SIGKILL
    assert site.rubbish(), "it was not killed in the middle of its work"
    assert site.answer() == "1.17.6"
    page.trickle = 0
    site.run(args)
    assert not site.rubbish() and site.current() == "1.17.8"
