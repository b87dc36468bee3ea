"""Who may have the terminal in a browser."""

from __future__ import annotations

import pytest

from fal_tui.web.guard import Keyring, refusal, same
from fal_tui.web.page import page, policy


@pytest.mark.parametrize(
    "host", ["127.0.0.1:80", "localhost:4000", "LOCALHOST", "[::1]:1", "[::1]"]
)
def test_loopback_names_are_let_in(host: str) -> None:
    assert refusal({"Host": host}, websocket=False) == ""
    assert refusal({"Host": host, "Origin": f"http://{host}"}, websocket=True) == ""


@pytest.mark.parametrize(
    "host",
    ["evil.com", "evil.com:8000", "127.0.0.1.evil.com", "192.168.0.2:80", "localhost.evil.com", ""],
)
def test_other_names_for_this_machine_are_not(host: str) -> None:
    assert refusal({"Host": host}, websocket=False) != ""


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com",
        "http://127.0.0.1:9",
        "http://localhost:80",
        "https://127.0.0.1:80",
        "null",
        "",
    ],
)
def test_pages_of_other_sites_ports_and_schemes_are_not(origin: str) -> None:
    headers = {"Host": "127.0.0.1:80", "Origin": origin}
    assert refusal(headers, websocket=False) != "" != refusal(headers, websocket=True)


def test_a_websocket_says_where_it_comes_from() -> None:
    assert refusal({"Host": "127.0.0.1:80"}, websocket=True) == "no Origin"


def test_secrets_are_new_each_time_and_never_shown() -> None:
    one, other = Keyring(), Keyring()
    assert len({one.token, one.cookie, one.room, other.token, other.cookie, other.room}) == 6
    assert one.token not in repr(one) and one.cookie not in repr(one)


def test_what_is_compared_may_be_anything() -> None:
    assert same("abc", "abc")
    assert not any(same(given, "abc") for given in (None, "", "ab", "abcd", "äbc", "\ud800"))


def test_the_page_asks_no_other_host_and_takes_its_words_literally() -> None:
    text = page('x"><script>', "/room", "99999", "<b>")
    assert "<script>" not in text and "<b>" not in text and 'data-font-size="48"' in text
    assert "https://" not in text and "//fonts" not in text
    assert "frame-ancestors 'none'" in policy("127.0.0.1:80")["Content-Security-Policy"]
