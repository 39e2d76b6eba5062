# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Node records, against the example of EIP-778."""

from __future__ import annotations

import pytest
from ansible_collections.chainops.infra.plugins.module_utils.chain import enr, peerid

RECORD = (
    "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJ"
    "c2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8"
)
KEY = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"


def test_the_example():
    found = enr.fields(RECORD)
    assert found["id"] == b"v4"
    assert found["ip"] == bytes([127, 0, 0, 1])
    assert int.from_bytes(found["udp"], "big") == 30303
    assert enr.peer_id(RECORD) == peerid.peer_id(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "enode://ab",
        "enr:",
        "enr:!!!!",
        RECORD[:60],
        RECORD + "AAAA",
        "enr:" + "A" * 500,
        "enr:gGFi",
        "enr:wQ",
    ],
)
def test_what_is_no_record(text):
    with pytest.raises(ValueError, match="no node record"):
        enr.fields(text)


def test_a_record_without_a_key():
    # [signature, sequence number, "id", "v4"]
    with pytest.raises(ValueError, match="no secp256k1 key"):
        enr.peer_id("enr:yIABgmlkgnY0")
