"""What each command compares, and the goals that it holds against it."""
