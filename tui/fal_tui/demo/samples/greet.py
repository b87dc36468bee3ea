"""Says hello. The second revision of the demo says it in more languages."""

from fal_serverless import isolated


@isolated(serve=True, keep_alive=60)
def greet(name: str = "world") -> dict[str, str]:
    """A greeting for NAME."""
    print(f"greeting {name}")
    return {"text": f"Hello, {name}!"}
