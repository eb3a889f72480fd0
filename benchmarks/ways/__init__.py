"""The ways to do the same work, ours and the peers': each measures itself, in a process of its own."""
