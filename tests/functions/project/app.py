"""A file with local modules beside it, imported at the top, inside a function, and not at all."""

import shop.prices.table

from fal_serverless import isolated

print("project app is imported")


@isolated(serve=True)
def price(item: str) -> int:
    return shop.prices.table.PRICES[item]


@isolated(serve=True)
def late(item: str) -> str:
    import late_module

    return late_module.describe(item)
