# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.chainops.infra.plugins.filter import enode_id, libp2p_peer_id

KEY = "db82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434"
PEER_ID = "16Uiu2HAmE1zdG92om3Y49m3ZeT5T3jAZCZ1w7JGWi93NWGRbjmW1"


def test_peer_id_and_multiaddr():
    peer_id = libp2p_peer_id.FilterModule().filters()["libp2p_peer_id"]
    assert peer_id(KEY) == PEER_ID
    assert peer_id(KEY, host="10.0.0.1") == f"/ip4/10.0.0.1/tcp/13000/p2p/{PEER_ID}"


def test_enode_id_and_url():
    enode = enode_id.FilterModule().filters()["enode_id"]
    assert len(enode(KEY)) == 128
    assert enode(KEY, "fd00::1", 30305) == f"enode://{enode(KEY)}@[fd00::1]:30305"


@pytest.mark.parametrize("name", [libp2p_peer_id.libp2p_peer_id, enode_id.enode_id])
@pytest.mark.parametrize("value", [None, 17, ["x"], "zz", KEY + "aa"])
def test_a_wrong_key_is_refused_without_being_shown(name, value):
    with pytest.raises(AnsibleFilterError) as refusal:
        name(value)
    assert name.__name__ in str(refusal.value)
    assert KEY not in str(refusal.value)
