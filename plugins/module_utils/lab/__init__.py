# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A whole site of Debian hosts on one machine: systemd-nspawn on overlays of one base image, a bridge for each region.

Nothing here keeps its own account of what runs. A host runs when its cgroup has processes; its mounts live in a mount
namespace of their own and go with its last process. So a killed ``up`` leaves nothing that the next one, or ``down``,
does not find.
"""
