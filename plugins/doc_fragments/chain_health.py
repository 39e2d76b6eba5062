# Copyright: The chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  references:
    description:
      - Other pairs that the pairs are compared with. Two that agree outvote a pair, one alone may lie.
      - Without any, age is all that tells whether a pair follows its chain.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Unique name, for messages.
        type: str
        required: true
      execution_url:
        description:
          - JSON-RPC of its execution client, C(http://) or C(https://), without user and password.
        type: str
        required: true
      consensus_url:
        description:
          - Beacon API of its consensus client. Without it, what is final is taken from the execution client.
        type: str
  policy:
    description:
      - What is tolerated, as in the option C(chain_health_policy) of the role C(chain_health), and C(slot_seconds) and
        C(slots_per_epoch) of the network. What is not named has the defaults given there, 12 and 32.
    type: dict
    default: {}
  chain_id:
    description:
      - Chain id that the pairs must have. Without it (or with V(0)) it is compared with the references.
    type: int
  genesis_hash:
    description:
      - Hash of the execution genesis block that the pairs must have. Without it, it is compared with the references.
    type: str
  ca_path:
    description:
      - File with the certificate authorities for C(https://). Without it, those of the system.
    type: path
"""
