"""Everything that can happen in the application, beside what the widgets themselves announce.

Streams and flows post these; only screens and widgets act on them. A newer one that says the same
replaces an older one that waits. It knows no widget.
"""

from __future__ import annotations

from textual.message import Message

from fal_tui.link import LinkState
from fal_tui.places import Place
from fal_tui.store import Topic


class StoreChanged(Message):
    """What is shown of these topics is not as it was."""

    def __init__(self, topics: frozenset[Topic]) -> None:
        super().__init__()
        self.topics = topics

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, StoreChanged)


class LinkChanged(Message):
    """The connection to the backend is in another state."""

    def __init__(self, state: LinkState) -> None:
        super().__init__()
        self.state = state


class Navigate(Message):
    """Go to a place; the one left goes on the back stack."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


class TabChosen(Message):
    """Another tab of the detail pane was chosen."""

    def __init__(self, tab: str) -> None:
        super().__init__()
        self.tab = tab


class FilterChanged(Message):
    """The text of a list's filter, as it is typed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class LookChanged(Message):
    """A list wants to show something else of what it lists."""


class ActionChosen(Message):
    """An entry of help, palette or footer was chosen: run that action."""

    def __init__(self, action_id: str) -> None:
        super().__init__()
        self.action_id = action_id
