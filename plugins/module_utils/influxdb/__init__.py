# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""InfluxDB 1.x over its HTTP API; standard library only, as the backup on the host uses it too.

client     requests over HTTPS, with the password read from a file
influxql   words, names, durations and statements of its language
ladder     downsampling ladders into policies and queries
objects    databases, policies, queries, users: what there is, what is wanted, the statements between
backfill   a continuous query over the past, window by window
counts     points per series, for manifests
backups    the archive of a backup: made, read, restored
"""

from __future__ import annotations
