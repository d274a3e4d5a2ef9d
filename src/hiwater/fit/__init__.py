"""The smallest memory that a command runs in: executions under limits, and what they tell."""
