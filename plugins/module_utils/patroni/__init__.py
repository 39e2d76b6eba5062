# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patroni: what an objective means in its configuration, its REST API, and what its cluster looks like."""

from __future__ import annotations
