#!/usr/bin/python
# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: print_lines
short_description: Print lines of text as they are
version_added: 0.1.0
author: The chainops.infra authors (@chainops)
description:
  - Prints a table or a message to the terminal without quoting, wrapping or indenting it, whatever the callback in use
    does to results. Characters that are not printable become question marks.
options:
  lines:
    description: The lines.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: It never changes anything.
    support: full
  diff_mode:
    description: It never changes anything.
    support: none
notes:
  - An action, which runs on the control node and opens no connection.
"""

EXAMPLES = r"""
- name: Show what was found
  chainops.infra.print_lines:
    lines:
      - "PAIR   VERDICT"
      - "eth-a  healthy"
"""

RETURN = r"""
lines:
  description: What was printed.
  returned: success
  type: list
  elements: str
"""
