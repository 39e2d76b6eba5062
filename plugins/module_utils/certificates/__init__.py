# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates of a site's hosts: a key that never leaves its host, and one host that signs. By the program openssl."""
