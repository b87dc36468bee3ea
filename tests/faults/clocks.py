"""A clock that jumps: the C library's is replaced in the backend and its log store.

An offset in a file is added to the time of day; monotonic clocks go on, as on a real machine.
"""

from __future__ import annotations

import shutil
import struct
import subprocess

from fal_serverless.models import LogQuery
from faults.stage import Skip, Stage
from faults.suite import fault

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("FAULT_CLOCK"), O_RDONLY);
    if (file >= 0) offset = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
}
int clock_gettime(clockid_t id, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, id, at);
    int is_of_day = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    if (!failed && offset && is_of_day) at->tv_sec += *offset;
    return failed;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """What the time of day is for a stage's backend."""

    def __init__(self, stage: Stage) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise Skip("no C compiler (cc)")
        folder = stage.home.parent / f"{stage.home.name}-clock"
        folder.mkdir()
        self._file, library = folder / "offset", folder / "clock.so"
        self.jump(0)
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), "-xc", "-"]
        subprocess.run(command, input=SOURCE, text=True, check=True)
        self.settings = {"LD_PRELOAD": str(library), "FAULT_CLOCK": str(self._file)}
        self._folder = folder

    def jump(self, seconds: int) -> None:
        """From now on it is so many seconds beside what it is."""
        if not self._file.exists():
            self._file.write_bytes(struct.pack("l", seconds))
            return
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("l", seconds))

    def close(self) -> None:
        shutil.rmtree(self._folder)


async def _jumps(stage: Stage, *offsets: int) -> None:
    clock = Clock(stage)
    try:
        await stage.open(**clock.settings)
        await stage.serve("talks")
        said = 0
        for offset in offsets:
            clock.jump(offset)
            async with stage.client() as client:
                for kind in ("serve", "key", "rollback", "auth"):
                    error = await stage.ledger.change(kind, client)
                    stage.expect(error is None, f"{kind} at {offset}: {error}")
                newest = (await client.revisions("changing"))[0].id
                last = [to for (_, to) in stage.ledger.moves][-2]
                stage.expect(newest == last, f"at {offset} the newest revision is not the first")
                said += 50
                body = f'{{"first": {said - 50}, "count": 50}}'.encode()
                answer = await client.invoke("talks", body)
                stage.expect(answer.status == 200, f"talks: {answer}"[:300])
            await _in_order(stage, said)
            await stage.settle()
        stage.crash()
        await stage.start()
        await _in_order(stage, said)
        await stage.settle()
    finally:
        await stage.close()
        clock.close()


async def _in_order(stage: Stage, count: int) -> None:
    async with stage.client() as client:
        lines = []
        async for entry in client.tail(LogQuery(label="talks", lines=10_000)):
            if entry.message.startswith("line "):
                lines.append(entry.message)
            if len(lines) == count:
                break
    stage.expect(lines == [f"line {n}" for n in range(count)], "lines are not in order")


@fault("clock jumps back an hour, then a year", 1)
async def back(stage: Stage) -> None:
    await _jumps(stage, -3600, -365 * 86400)


@fault("clock jumps ahead a year, and back", 1)
async def ahead(stage: Stage) -> None:
    await _jumps(stage, 365 * 86400, 0)
