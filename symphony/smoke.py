"""What smoke expects of an application's answers: in ``symphony.yaml``, and in an annotation of its Ingress."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from symphony.section import Model, Seconds

ANNOTATION = "symphony.dev/smoke"
"""On an Ingress or HTTPRoute: the same section as YAML, for that one alone; it wins over ``symphony.yaml``."""

UrlPath = Annotated[str, StringConstraints(pattern=r"^/[^\s#]*$")]
"""Path of a URL, and its query where it has one."""


def parse_json_path(expression: str) -> Any:
    """A JSONPath expression, ready to be looked for.

    Raises:
        ValueError: It is none.
    """
    from jsonpath_ng.parser import parse  # noqa: PLC0415 - its grammar takes a while to load, and few need it

    try:
        return parse(expression)
    except Exception as error:  # its grammar raises what it happens to, such as TypeError
        raise ValueError(f"{expression!r} is no JSONPath: {error}") from error


def _json_path(expression: str) -> str:
    parse_json_path(expression)
    return expression


JsonPath = Annotated[str, AfterValidator(_json_path)]


class Expected(Model):
    """What the answer to one path must be."""

    status: int | None = Field(default=None, ge=100, le=599, description="Its status; any below 400 by default.")
    body: str | None = Field(default=None, description="Text that its body has.")
    fields: dict[JsonPath, JsonValue] = Field(
        default_factory=dict, description="Values in its body as JSON, by JSONPath such as $.build.commit."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Text that each of these headers has.")
    redirect: str | None = Field(
        default=None,
        pattern=r"^(https?://[^\s/]+)?/\S*$",
        description="Address that it redirects to and that is not asked: a path, or a whole URL; "
        "its query counts where one is given.",
    )
    seconds: Seconds = Field(default=5, description="Seconds it may take.")


class Smoke(Model):
    """What smoke asks of an application, and what it expects."""

    version: UrlPath | None = Field(
        default="/version",
        description="Path, below the first one of each host, whose JSON tells the digest that is deployed or the "
        "commit recorded in that image; null where there is none.",
    )
    good: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Good answers in a row that a URL must give; its version four a pod, where there are several.",
    )
    tests: Seconds | None = Field(
        default=120, description="Seconds that the chart's test pods may take; null where they are not run."
    )
    paths: dict[UrlPath, Expected] = Field(
        default_factory=dict, description="What is expected, by path; further paths below one of an Ingress too."
    )

    def with_annotation(self, given: dict[str, Any]) -> Smoke:
        """This section with what an annotation says instead, path by path.

        Raises:
            ValueError: The annotation breaks a rule.
        """
        own = Smoke.model_validate(given)
        told = {name: getattr(own, name) for name in own.model_fields_set}
        return self.model_copy(update={**told, "paths": {**self.paths, **own.paths}})
