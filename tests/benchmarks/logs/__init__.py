"""What of logs is measured: the past in a large store, and lines as they come."""
