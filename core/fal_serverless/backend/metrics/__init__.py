"""What the backend tells of itself in figures: a page for Prometheus, and the past for people."""
