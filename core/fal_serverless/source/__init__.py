"""A user's file -> the functions in it; a file and a name -> a bundle that can be served.

`scan` reads by syntax tree and runs nothing. `bundle` has the file imported by a child program, in
the interpreter of the user's own project. `reached` names the local files a file depends on.
`Saves` tells when
one of them was saved with another content. Nothing here knows of backends, aliases or contexts.
"""

from fal_serverless.source.files import reached
from fal_serverless.source.packing import bundle
from fal_serverless.source.saves import Saves
from fal_serverless.source.syntax import Found, scan

__all__ = ["Found", "Saves", "bundle", "reached", "scan"]
