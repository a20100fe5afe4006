"""A laboratory of network namespaces: nodes, Ethernet segments, serial lines, a client, and faults.

Used by the system tests, the demo and the failover benchmark. Needs root, iproute2, nftables and
util-linux. Everything it makes bears the lab's name and is removed when the lab closes, whatever
happens; `python3 -m lab clean` removes what a killed lab left.
"""
