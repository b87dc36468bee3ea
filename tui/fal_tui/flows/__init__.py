"""What happens after a key that changes something: questions, the change, the toast."""
