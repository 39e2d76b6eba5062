"""The data layer's names in one place, as the lab's inventory has them: hosts, ports, units, paths, options."""

from __future__ import annotations

import os
from pathlib import Path

PREFIX = os.environ.get("LAB_PREFIX") or "lab"
BASE = ".".join((os.environ.get("LAB_NETWORK") or "10.87.0.0/16").split(".")[:2])
SECRETS = Path("/var/lib/chainops-lab") / PREFIX / "secrets"

LAYER = "chainops.infra.layers.data"
OPERATIONS = "chainops.infra.operations"

EAST = ("db-a", "db-b")
WEST = ("db-c", "db-d")
WITNESS = "db-w"
POSTGRESQL = EAST + WEST
ETCD = ("db-a", "db-c", WITNESS)
BALANCERS = ("lb-d1", "lb-d2")
INFLUXDB = "ts-a"
REPOSITORY, OFFSITE = "bk-a", "bk-w"
SCRATCH = "sc-a"

# Balancers
PRIMARY_PORT, REPLICAS_PORT, ANY_PORT, REDIS_FRONTEND = 5000, 5001, 5002, 6379
PGBOUNCER_PORT = 6432
HAPROXY_POSTGRESQL = "/etc/haproxy/conf.d/51-postgresql.cfg"
# Services
PATRONI_PORT, REDIS_AGENT_PORT, INFLUXDB_PORT = 8008, 6380, 8086
CA = "/etc/chainops/tls/ca.pem"
PATRONI, POSTGRES = "patroni", "postgres"
PATRONI_UNIT, ETCD_UNIT = "patroni.service", "etcd.service"
REDIS_UNIT, SENTINEL_UNIT, INFLUXDB_UNIT = "redis-server.service", "redis-sentinel.service", "influxdb.service"
PGBOUNCER_UNIT = "pgbouncer.service"
INFLUXDB_ADMIN_PASSWORD = "/etc/influxdb/credentials/admin"
POSTGRESQL_DISK, DISK_HOST = "/var/lib/postgresql", "db-a"
"""The file system that may be filled, and the host that has one of its own there."""
BIN_DIR = "/usr/lib/postgresql/17/bin"
RESTORED, RESTORED_RUN = "/var/lib/postgresql/restored", "/run/chainops-restore"
DATA_DIR = "/var/lib/postgresql/17/main"
STANZA = "main"
METRICS = "/var/lib/node_exporter"

# Options
RPO, DEFAULT_RPO = "postgresql_rpo", "zero_host"
TIMING = {
    "ttl": "postgresql_ttl_s",
    "loop_wait": "postgresql_loop_wait_s",
    "retry_timeout": "postgresql_retry_timeout_s",
}
"""Patroni's name of each value, and the option's."""
AUTOBASE_TIMING = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10}
AUTOBASE_CHECKS = "inter 3s fastinter 1s fall 3 rise 4"
"""How autobase's HAProxy looks at its servers (roles/haproxy/templates/haproxy.cfg.j2 of it, read 2026-11)."""

# What operations are given on their command lines.
SWITCHOVER_TO = "switchover_to"
INFLUXDB_RESTORE = {"from": "influxdb_restore_database", "to": "influxdb_restore_to"}

# The passwords, each in the first line of its file.
PASSWORDS = {store: SECRETS / f"{store}_prover" for store in ("postgresql", "redis", "influxdb")}


def playbook(name: str) -> str:
    """An operation's full name."""
    return f"{OPERATIONS}.{name}"
