"""What a case does to hosts beyond the faults library: other policies, closed ports, liars and other chains.

Each is a context manager, and the site is as before when its block ends.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.lab.site import Site

from .world import BASE, PAIRS, SERVING, World

RELEASES = Path(os.environ.get("CHAINOPS_CACHE", Path.home() / ".cache" / "chainops")) / "artifacts" / "releases.json"
MIRROR = f"https://{BASE}.3.31:8443"
CONFIG = "/etc/chain_health/config.json"
WORK = "/var/lib/chainops-case"
RPC_PORTS = (8545, 3500)
# geth and Prysm, to their peers
P2P_PORTS = (30303, 13000, 12000)


def shell(site: Site, host: str, script: str, check: bool = True) -> str:
    return site.run(host, "sh", "-ec", script, check=check).stdout


def put(site: Site, host: str, path: str, content: bytes) -> None:
    text = base64.b64encode(content).decode()
    shell(site, host, f"mkdir -p {WORK}; echo {text} | base64 -d > {path}")


@contextmanager
def daemons(world: World, hosts: Iterable[str] = SERVING, **changes: Any) -> Iterator[None]:
    """The daemons with other values at the top of their configuration; a mapping is merged."""
    hosts = list(hosts)
    edit = (
        f"import json; old = json.load(open({CONFIG!r})); new = json.loads({json.dumps(changes)!r}); "
        "new = {key: {**old[key], **value} if isinstance(value, dict) else value for key, value in new.items()}; "
        f"json.dump({{**old, **new}}, open({CONFIG!r}, 'w'))"
    )
    try:
        for host in hosts:
            world.site.run(host, "cp", "-a", CONFIG, f"{CONFIG}.kept")
            world.site.run(host, "python3", "-c", edit)
            world.site.run(host, "systemctl", "restart", "chain_health")
        for host in hosts:
            world.wait_admitted(host)
        yield
    finally:
        for host in hosts:
            shell(world.site, host, f"if [ -e {CONFIG}.kept ]; then mv {CONFIG}.kept {CONFIG}; fi")
            world.site.run(host, "systemctl", "restart", "chain_health")


@contextmanager
def firewall(site: Site, host: str, name: str, chains: str) -> Iterator[None]:
    """A table of its own in a host's nftables."""
    shell(site, host, f"echo 'table inet {name} {{ {chains}; }}' | nft -f -")
    try:
        yield
    finally:
        shell(site, host, f"nft delete table inet {name}", check=False)


def ports(numbers: Iterable[int]) -> str:
    return "{ " + ", ".join(str(number) for number in numbers) + " }"


@contextmanager
def references_silent(world: World) -> Iterator[None]:
    """No pair can ask another one anything, while blocks go on passing between them."""
    sources = "{ " + ", ".join(PAIRS.values()) + " }"
    with ExitStack() as stack:
        for host, own in PAIRS.items():
            rule = f"ip saddr {sources} ip saddr != {own} tcp dport {ports(RPC_PORTS)} drop;"
            chain = f"chain in {{ type filter hook input priority -50; {rule} }}"
            stack.enter_context(firewall(world.site, host, "case_silent", chain))
        yield


@contextmanager
def lying(world: World, host: str, mode: str) -> Iterator[None]:
    """A reference answers the serving pairs with lies; see liar.py."""
    script = f"{WORK}/liar.py"
    put(world.site, host, script, (Path(__file__).parent / "liar.py").read_bytes())
    own = PAIRS[host]
    asking = "{ " + ", ".join(PAIRS[pair] for pair in SERVING) + " }"
    redirect = f"ip saddr {asking} tcp dport 8545 redirect to :18545;"
    run = f"systemd-run -q --collect --unit=case-liar python3 {script} {own}:18545 http://{own}:8545 {mode}"
    shell(world.site, host, run)
    try:
        with firewall(
            world.site, host, "case_liar", f"chain pre {{ type nat hook prerouting priority -100; {redirect} }}"
        ):
            yield
    finally:
        world.site.run(host, "systemctl", "stop", "case-liar", check=False)
        shell(world.site, host, f"rm -rf {WORK}")


def reconnect(world: World) -> None:
    """The serving pairs' daemons open new connections: those from before would keep their way to the real node."""
    for pair in SERVING:
        world.site.run(pair, "systemctl", "restart", "chain_health")
    time.sleep(3)


@contextmanager
def other_genesis(world: World, host: str) -> Iterator[None]:
    """In place of a pair's geth another one runs, of the same chain id, whose chain begins with another block."""
    site, own = world.site, PAIRS[host]
    geth = "/opt/chainops/geth/current/geth"
    make = (
        "import json, time; genesis = json.load(open('/etc/ethereum/devnet/genesis.json')); "
        "genesis['timestamp'] = hex(int(time.time())); genesis['extraData'] = '0x6f74686572'; "
        f"json.dump(genesis, open('{WORK}/genesis.json', 'w'))"
    )
    site.run(host, "systemctl", "stop", "prysm", "geth", timeout=330)
    try:
        shell(site, host, f"mkdir -p {WORK}")
        site.run(host, "python3", "-c", make)
        site.run(host, geth, "init", "--datadir", f"{WORK}/geth", f"{WORK}/genesis.json")
        shell(
            site,
            host,
            f"systemd-run -q --collect --unit=case-geth {geth} --datadir {WORK}/geth --networkid 32382 --nodiscover "
            f"--maxpeers 0 --port 30399 --authrpc.port 18551 --ipcdisable --http --http.addr {own} --http.vhosts '*'",
        )
        yield
    finally:
        site.run(host, "systemctl", "stop", "case-geth", check=False)
        shell(site, host, f"rm -rf {WORK}")
        site.run(host, "systemctl", "start", "geth", "prysm", timeout=330)


@contextmanager
def own_fork(world: World, host: str) -> Iterator[None]:
    """A pair that no peer reaches and that has all the chain's validators to itself: it goes on, on a fork of its own.

    Both clients are well and the head is fresh. Its data is worthless afterwards, and made anew.
    """
    site = world.site
    (release,) = json.loads(RELEASES.read_text(encoding="utf-8"))["prysm-validator"].values()
    fetch = (
        "import shutil, ssl, urllib.request; "
        f"answer = urllib.request.urlopen('{MIRROR}/{release['url']}', "
        "context=ssl.create_default_context(cafile='/etc/chainops/mirror-ca.pem')); "
        f"shutil.copyfileobj(answer, open('{WORK}/validator', 'wb'))"
    )
    shell(site, host, f"mkdir -p {WORK}")
    site.run(host, "python3", "-c", fetch)
    ways = [f"{protocol} {end} {ports(P2P_PORTS)} drop;" for protocol in ("tcp", "udp") for end in ("dport", "sport")]
    chains = "; ".join(
        f"chain {way} {{ type filter hook {way} priority -50; {' '.join(ways)} }}" for way in ("input", "output")
    )
    start = (
        f"chmod +x {WORK}/validator; systemd-run -q --collect --unit=case-validators {WORK}/validator "
        f"--accept-terms-of-use --datadir={WORK}/validators --chain-config-file=/etc/ethereum/devnet/config.yml "
        "--interop-num-validators=16 --interop-start-index=0 --beacon-rpc-provider=127.0.0.1:4000 "
        "--suggested-fee-recipient=0x00000000000000000000000000000000000bad00 --disable-monitoring"
    )
    try:
        with firewall(site, host, "case_fork", chains):
            shell(site, host, start)
            yield
            site.run(host, "systemctl", "stop", "case-validators", check=False)
    finally:
        site.run(host, "systemctl", "stop", "case-validators", check=False)
        shell(site, host, f"rm -rf {WORK}")
        world.wipe(host)
