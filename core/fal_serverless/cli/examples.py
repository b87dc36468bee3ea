"""What stands below the help of commands: lines as one would type them."""

from __future__ import annotations

import click

EXAMPLES = {
    "": """
        fal-serverless function serve app.py call_text --alias call
        fal-serverless function invoke call -d '{"text": "hello"}'
        fal-serverless function logs --url call --follow
        fal-serverless function rollback call
    """,
    "function serve": """
        fal-serverless function serve app.py call_text --alias call
        fal-serverless function serve app.py call_text --alias call --auth public -m faster
        fal-serverless function serve app.py call_text --alias call --watch
        fal-serverless function serve app.py call_text --python 3.12
    """,
    "function logs": """
        fal-serverless function logs --url call --follow
        fal-serverless function logs --since 1h --level error
        fal-serverless function logs --search 'time.?out' --lines 20
        fal-serverless function logs --source request --json | jq -r .message
    """,
    "function invoke": """
        fal-serverless function invoke call -d '{"text": "hello"}'
        fal-serverless function invoke call -d @body.json
        fal-serverless function invoke 'site/users?page=2' -X GET
        fal-serverless function invoke resize -H 'Content-Type: image/png' -d @picture.png
    """,
    "function rollback": """
        fal-serverless function rollback call
        fal-serverless function rollback call 9f3e -m 'too slow'
    """,
    "alias set": """
        fal-serverless alias set prod 9f3e
        fal-serverless alias set beta 9f3e --auth shared
    """,
    "key generate": """
        fal-serverless key generate --scope API --alias laptop
        eval "$(fal-serverless key generate | grep ^FAL_KEY)"
    """,
    "environment prune": """
        fal-serverless environment prune --dry-run
        fal-serverless environment prune --older-than 7d --yes
    """,
    "context add": """
        fal-serverless context add prod https://fal.example.com --key ID:SECRET --protected
        fal-serverless --context prod function list
    """,
    "completion": """
        eval "$(fal-serverless completion bash)"        in ~/.bashrc
        eval "$(fal-serverless completion zsh)"         in ~/.zshrc, after compinit
        fal-serverless completion fish | source         in ~/.config/fish/config.fish
    """,
    "backend run": """
        fal-serverless backend run --port 3300 --state ./state
        fal-serverless backend run --domain fal.example.com --public-url https://fal.example.com
    """,
}
"""Command, without the program's name -> its lines."""


def add_examples(program: click.Group) -> None:
    """Put each below the help of its command."""
    for path, text in EXAMPLES.items():
        lines = (f"  {line.strip()}" for line in text.strip().splitlines())
        command_at(program, path).epilog = "\n".join(("\b", "Examples:", *lines))


def command_at(program: click.Group, path: str) -> click.Command:
    """The command that the words of `path` lead to."""
    found: click.Command = program
    for word in path.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found
