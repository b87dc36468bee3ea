"""The echo with BentoML's defaults."""

import bentoml


@bentoml.service
class Echo:
    @bentoml.api(route="/")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}
