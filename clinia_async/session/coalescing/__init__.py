"""session/coalescing: say what it is, what it may import, and what never belongs here."""
