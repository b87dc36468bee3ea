"""The serving side: what is registered, where it runs, how it is called."""
