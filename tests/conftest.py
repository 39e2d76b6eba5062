"""Collections are imported as Ansible imports them, in every test: once done otherwise, their plugins are not found."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).resolve().parents[1] / ".ansible" / "collections")])
