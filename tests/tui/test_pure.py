"""Places, palette, undo, cache, samples and command lines: what needs no widget."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from rich.text import Text

from fal_serverless.models import BundleInfo, Parameter
from fal_tui import cache, equivalents, palette, render, safe, sample
from fal_tui.chrome import header
from fal_tui.chrome.header import Heading
from fal_tui.places import HOME, Place, Trail, breadcrumbs
from fal_tui.screens import rest
from fal_tui.screens.call import Call, Recall
from fal_tui.undo import KEPT, AuthChanged, PointerMoved, Undo
from tui.fake_backend import two_functions


def test_breadcrumbs_lead_from_the_screen_to_the_thing() -> None:
    assert breadcrumbs(Place("revisions", "call")) == ("functions", "call", "revisions")
    assert breadcrumbs(Place("keys")) == ("keys",)


def test_a_long_name_gives_up_its_end_before_the_crumb_behind_it() -> None:
    heading = Heading(place=Place("revisions", "a_function_with_quite_a_long_name"))
    now = datetime(2026, 11, 21, 12, 0)
    shown = header.line(heading, 60, now, palette.PLAIN).plain
    assert "functions ▸ a_function_" in shown and "… ▸ revisions" in shown
    assert shown.endswith("◐ connecting") and len(shown) <= 60
    assert "long_name ▸ revisions" in header.line(heading, 100, now, palette.PLAIN).plain
    tiny = header.line(heading, 30, now, palette.PLAIN).plain
    assert tiny.endswith("◐ connecting") and len(tiny) <= 30


def test_going_back_ends_at_home_and_never_turns_round() -> None:
    trail = Trail()
    for kind in ("aliases", "keys"):
        trail.go(Place(kind))
    trail.go(Place("moves", "call"))
    seen = []
    while (place := trail.up()) is not None:
        trail.go(place, back=True)
        seen.append(place.kind)
    assert seen == ["aliases", "keys", "functions"] and trail.place == HOME


def test_one_step_up_from_a_tab_is_the_tab_that_its_number_leads_to() -> None:
    trail = Trail()
    trail.go(Place("audit"))
    assert trail.up() == Place("activity")
    trail.go(Place("activity"), back=True)
    assert trail.up() == HOME


def test_palette_takes_colours_of_the_theme_and_leaves_what_is_none() -> None:
    found = palette.from_theme({"text-success": "#00ff00", "text-error": "auto 87%"}, dark=True)
    assert found.good == "#00ff00"
    assert found.bad == palette.PLAIN.bad


def test_styled_text_from_outside_keeps_its_styles_and_nothing_that_acts() -> None:
    given = Text.assemble(("a\x1b[2Jb", "red"), "\n", ("c\u202ed", "bold"))
    made = safe.styled(given)
    assert made.plain == "a␛[2Jb\nc�d" and made.spans == given.spans
    assert given.plain.startswith("a\x1b") and safe.styled(made) is made


def test_undo_gives_the_last_step_first_and_forgets_what_was_undone() -> None:
    undo, first = Undo(), PointerMoved("a", "1", "2")
    second = AuthChanged("a", "private", "public", "a")
    undo.push(first)
    undo.push(second)
    assert undo.last == second
    undo.drop(second)
    assert undo.last == first


def test_a_step_that_was_made_twice_is_forgotten_where_it_was_made_last() -> None:
    undo, there, back = Undo(), PointerMoved("a", "1", "2"), PointerMoved("a", "2", "1")
    for step in (there, back, there):
        undo.push(step)
    undo.drop(there)
    assert undo.last == back


def test_undo_is_bounded() -> None:
    undo = Undo()
    for number in range(KEPT + 5):
        undo.push(PointerMoved("a", str(number), "x"))
    assert len(undo._steps) == KEPT


def test_cached_rows_look_as_they_were_drawn(tmp_path: Path) -> None:
    place = cache.place(tmp_path, "prod/eu")
    rows = [render.lasting_row(each, palette.PLAIN) for each in two_functions().functions()]
    cache.write_rows(place, rows)
    assert [row.cells[0] for row in cache.read_rows(place)] == [row.cells[0] for row in rows]


def test_a_broken_cache_is_as_good_as_none(tmp_path: Path) -> None:
    place = cache.place(tmp_path, "local")
    for name in (place, place.with_name(f"painted-{place.name}")):
        name.write_text('{"not": "a list')
    assert cache.read(place) == ()
    assert cache.read_rows(place) == []


def needs(annotation: str, default: str | None = None, name: str = "it") -> Parameter:
    return Parameter(name, "positional_or_keyword", default is None, annotation, default)


def told(source: str, *parameters: Parameter) -> BundleInfo:
    return BundleInfo("f", "app.py", source, {"serve": True}, parameters, "", "3.11")


def test_a_sample_body_has_defaults_and_values_by_type() -> None:
    parameters = (
        needs("str", name="text"),
        needs("int", "3", name="count"),
        Parameter("ratio", "keyword", True, "float"),
        Parameter("rest", "var_keyword", False),
        Parameter("tags", "keyword", True, "list[str]"),
    )
    body = sample.body(told("", *parameters))
    assert body == {"text": "text", "count": 3, "ratio": 1.5, "tags": []}


TYPES = """
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Mode(StrEnum):
    FAST = auto()

@dataclass
class Named:
    name: str

@dataclass
class Size(Named):
    width: int
    height: int = 10
    colour: Colour = Colour.BLUE
    tags: list[str] = field(default_factory=list)
    limit: ClassVar[int] = 3

class Item(BaseModel):
    size: "shapes.Size"
    price: float = Field(1.5, ge=0)
    code: str = Field(..., min_length=1)

class Tree(Tree):
    left: Tree
"""
SIZE = {"name": "text", "width": 1, "height": 10, "colour": "blue"}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("Literal['b', 'c']", "b"),
        ("Optional[int]", 1),
        ("float | None", 1.5),
        ("datetime.date", "2024-05-06"),
        ("Annotated[bool, 'x']", True),
        ("None", None),
        ("...", "text"),
        ("not a type", "text"),
        ("Colour", "red"),
        ("Mode", "fast"),
        ("'Size'", SIZE),
        ("dict[str, Size]", {}),
        ("list[Item]", [{"size": SIZE, "price": 1.5, "code": "text"}]),
    ],
)
def test_a_sample_fits_the_types_that_the_file_has(annotation: str, value: object) -> None:
    other = needs("str", name="other")
    assert sample.body(told(TYPES, needs(annotation), other)) == {"it": value, "other": "text"}


def test_a_single_parameter_that_is_an_object_is_the_body() -> None:
    assert sample.body(told(TYPES, needs("Size | None", "None"))) == SIZE
    assert sample.body(told(TYPES, needs("dict", "{'a': 1}"))) == {"a": 1}
    assert sample.body(told(TYPES, needs("Colour"))) == {"it": "red"}


def test_a_sample_takes_a_member_of_an_enum_for_a_default() -> None:
    assert sample.body(told(TYPES, needs("Colour", "Colour.BLUE"))) == {"it": "blue"}
    assert sample.body(told(TYPES, needs("Colour", "Colour.GREEN"))) == {"it": "red"}


def test_a_sample_of_a_type_that_holds_itself_has_an_end() -> None:
    assert "left" in sample.body(told(TYPES, needs("Tree")))
    assert sample.body(told("class Tree(", needs("Tree"))) == {"it": "text"}


def test_curl_of_a_public_endpoint_needs_no_key() -> None:
    assert equivalents.curl("http://x", public=True) == "curl http://x/"
    assert "$FAL_KEY_SECRET" in equivalents.curl("http://x", public=False)


def test_curl_is_told_who_vouches_for_the_certificate() -> None:
    line = equivalents.curl("https://x", public=True, ca="/my files/ca.pem")
    assert line == "curl --cacert '/my files/ca.pem' https://x/"


def test_a_command_line_names_any_context_but_the_embedded_one() -> None:
    assert equivalents.set_auth("local", "call", "public") == (
        "fal-serverless function auth call public"
    )
    assert "--context 'my prod'" in equivalents.rollback("my prod", "call", "1")


def test_the_command_line_of_a_serve_says_all_that_was_chosen() -> None:
    line = equivalents.serve("local", "a b.py", "f", "f", "public", "it's", from_source=True)
    assert shlex.split(line) == [
        "fal-serverless", "function", "serve", "a b.py", "f",
        "--alias", "f", "--auth", "public", "--message", "it's", "--from-source",
    ]  # fmt: skip
    assert equivalents.serve("prod", "a.py", "f") == (
        "fal-serverless --context prod function serve a.py f"
    )


class Clock:
    """Time passes when it is told to; what is due then is done."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        self._due.append((self.now + seconds, act))

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due, self._due = self._due, []
        for at, act in due:
            if at <= self.now:
                act()
            else:
                self._due.append((at, act))


def test_a_cursor_is_followed_when_it_rests_and_now_and_then_while_it_does_not() -> None:
    clock, followed = Clock(), list[float]()
    cursor = rest.Rest(clock.later, lambda: followed.append(clock.now), lambda: clock.now)
    for _ in range(100):
        cursor.moved()
        clock.pass_by(rest.SETTLE / 4)
    assert len(followed) == 2
    clock.pass_by(1)
    assert len(followed) == 3
    clock.pass_by(1)
    assert len(followed) == 3


def test_calls_are_recalled_up_and_down_and_what_was_being_written_stands_below_them() -> None:
    known, draft = [Call(body="1"), Call(body="2")], Call(body="new")
    recall = Recall()
    steps = (-1, -1, -1, 1, 1, 1)
    seen = [recall.step(step, known, draft) for step in steps]
    assert seen == [known[1], known[0], None, known[1], draft, draft]
    recall.forget()
    assert recall.step(-1, known, known[1]) == known[0]
