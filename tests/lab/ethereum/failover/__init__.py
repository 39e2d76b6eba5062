"""Failover of the Ethereum layer, proven on the lab: every case under load, every case with a control."""
