"""The list of functions, whole and as what changed since."""

from __future__ import annotations

from contextlib import suppress

from fal_serverless.client import Client
from fal_serverless.errors import NotFound
from fal_serverless.models import FunctionList
from running import RunningBackend
from serving import serve


async def names(client: Client, known: FunctionList) -> tuple[FunctionList, set[str]]:
    """The list now, and which of its functions are not those known before."""
    found = await client.functions_since(known)
    same = {id(each) for each in known.functions}
    return found, {each.name for each in found.functions if id(each) not in same}


async def test_a_list_that_is_known_is_sent_what_changed_only(
    backend: RunningBackend, client: Client
) -> None:
    for alias in ("since-one", "since-two"):
        await serve(backend, client, "texts.py", "call_text", alias)
    for worker in await client.workers():
        with suppress(NotFound):  # one of another test's may have been idle long enough
            await client.stop_worker(worker.id)
    known = await client.functions_since()
    assert list(known.functions) == await client.functions()

    await client.set_auth("since-one", "shared")
    known, changed = await names(client, known)
    assert "since-one" in changed and "since-two" not in changed
    assert list(known.functions) == await client.functions()

    await client.invoke("since-two", b'{"text": "x"}')
    known, changed = await names(client, known)
    (two,) = [each for each in known.functions if each.name == "since-two"]
    assert "since-two" in changed and two.traffic.requests == 1 and two.workers

    await serve(backend, client, "texts.py", "call_text", "since-three")
    known, _ = await names(client, known)
    assert known.functions[0].name == "since-three"
    assert [each.name for each in known.functions] == [
        each.name for each in await client.functions()
    ]

    await client.delete_function("since-two")
    await serve(backend, client, "texts.py", "call_text", "since-one")
    known, changed = await names(client, known)
    assert known.functions[0].name == "since-one"
    assert "since-two" not in {each.name for each in known.functions}
    assert [each.name for each in known.functions] == [
        each.name for each in await client.functions()
    ]


async def test_a_version_of_another_start_is_answered_with_all(client: Client) -> None:
    known = await client.functions_since(FunctionList("0123456789ab-7", ()))
    assert list(known.functions) == await client.functions()
