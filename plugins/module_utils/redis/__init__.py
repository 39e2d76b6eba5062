# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Redis and its Sentinels: the protocol, who is master, and the programs that stand beside a server on its host.

Stdlib only and relative imports, as it is copied whole to hosts.
"""
