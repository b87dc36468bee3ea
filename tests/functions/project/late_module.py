import later_module


def describe(item: str) -> str:
    return later_module.shout(item)
