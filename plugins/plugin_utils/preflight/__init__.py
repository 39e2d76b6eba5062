# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the action preflight is made of; nothing here speaks to a host.

mistake   one wrong thing and how a value is shown
spec      one value against one option of an argument spec
rules     meta/preflight.yml of a role: ranges, patterns, ports, checks
releases  the rule about the release that a role installs
names     variables that nobody reads, and what was probably meant
collection  roles and layers of this collection, read from disk
site      hosts x roles: values worked out in each host's context, every mistake collected
report    all mistakes as one text
"""

from __future__ import annotations
