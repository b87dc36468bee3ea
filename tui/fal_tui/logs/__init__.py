"""Log entries as people read them: kept, filtered, formatted. Nothing here imports Textual."""
