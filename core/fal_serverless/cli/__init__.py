"""The command line, `fal-serverless`: a file per group of commands.

Commands turn arguments into calls of the client and what comes back into text. Whatever is slow to
import (the client, the backend) is imported by the command that needs it.
"""
