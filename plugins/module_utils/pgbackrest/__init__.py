# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups of PostgreSQL with pgBackRest: running it, restoring, and proving that what was restored is right."""
