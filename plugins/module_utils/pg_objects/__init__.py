# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Databases, roles and what they may do, as data: read in a few queries, compared, changed one statement at a time."""
