"""Says hello. The second revision of the demo says it in more languages."""

import logging

from fal_serverless import isolated

WORDS = {"en": "Hello", "de": "Guten Tag", "fr": "Bonjour", "es": "Buenos días"}

log = logging.getLogger("greet")


@isolated(serve=True, keep_alive=60, max_concurrency=3)
def greet(name: str = "world", language: str = "en") -> dict[str, str]:
    """A greeting for NAME in a LANGUAGE: en, de, fr or es."""
    if language not in WORDS:
        log.warning("no words for language %r, falling back to English", language)
    log.info("greeting %s in %s", name, language)
    return {"text": f"{WORDS.get(language, WORDS['en'])}, {name}!"}
