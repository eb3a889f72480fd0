"""The ways to do the same work, ours and the peers': each runs in a process of its own and measures itself."""
