# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Membership of an etcd cluster, read and changed with etcdctl."""

from __future__ import annotations
