"""The lab: OpenStack, OVN, a Kubernetes control plane and two nodes, as plain processes and namespaces of one machine.

Where to start reading: `cli` (commands), `up` (the order of things), `components` (every daemon and how it is started).
"""
