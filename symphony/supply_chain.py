"""What an environment asks of an image's origin: SBOM, signature, scan findings, and exceptions that end."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, model_validator

from symphony.section import Model, Name, Seconds

Severity = Literal["critical", "high", "medium", "low", "informational", "undefined"]
"""Severities of Amazon ECR's scan findings, the worst first."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

Sbom = Literal["none", "attached", "required"]
KeyReference = Annotated[str, StringConstraints(pattern=r"^(env://[A-Za-z_][A-Za-z0-9_]*|awskms://\S+|[\w./-]+)$")]
"""A key as cosign names it: in a variable, in AWS KMS, or in a file."""


class Signature(Model):
    """Who signs images, and whose signature is believed."""

    key: KeyReference | None = Field(
        default=None,
        description="Key that signs: env://NAME (COSIGN_PASSWORD opens it), awskms:///alias/NAME or a file; "
        "without one, cosign signs keyless by the worker's identity.",
    )
    public_key: KeyReference | None = Field(
        default=None, description="Key that signatures are checked with; a KMS key serves for both."
    )
    identity: str | None = Field(default=None, description="Keyless: identity that the certificate must name.")
    issuer: str | None = Field(
        default=None,
        pattern=r"^https://\S+$",
        description="Keyless: issuer of that identity, such as an OIDC provider.",
    )
    required: bool = Field(default=True, description="Whether an image without a good signature is refused.")

    @model_validator(mode="after")
    def _one_way(self) -> Signature:
        keyless = self.identity is not None and self.issuer is not None
        if self.key is None and self.public_key is None and not keyless:
            raise ValueError("needs key and public_key, a KMS key, or identity and issuer for keyless signatures")
        if (self.key or self.public_key) and (self.identity or self.issuer):
            raise ValueError("has a key and an identity; signatures are made by one of them")
        if self.key and not self.key.startswith("awskms://") and self.public_key is None:
            raise ValueError("public_key is missing; only a KMS key serves for signing and checking alike")
        return self

    @property
    def checked_with(self) -> str:
        """What a signature is checked with, for people too."""
        return self.public_key or self.key or f"{self.identity} of {self.issuer}"


class ScanException(Model):
    """A finding that does not count, until a day."""

    finding: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", description="Its name, such as CVE-2026-12345.")
    reason: str = Field(min_length=1, description="Why it does not matter here.")
    expires: date = Field(description="Last day on which it holds (UTC), such as 2026-12-31.")
    applications: tuple[Name, ...] = Field(default=(), description="Applications it holds for; all by default.")


class Scan(Model):
    """Which findings of ECR's scan keep an image out."""

    refuse: Severity = Field(default="critical", description="Lowest severity that keeps an image out.")
    wait: Seconds = Field(default=300, description="Seconds to wait for a scan that is not done.")
    exceptions: tuple[ScanException, ...] = ()

    def counts(self, severity: str) -> bool:
        """Whether a finding of this severity keeps an image out; one that ECR has no word for counts as the worst."""
        known: Collection[str] = SEVERITIES
        rank = SEVERITIES.index(severity) if severity in known else 0
        return rank <= SEVERITIES.index(self.refuse)


class SupplyChain(Model):
    """What images of an environment bring along, and what is checked before they are deployed."""

    sbom: Sbom = Field(
        default="none",
        description="`attached`: made beside the deploy; `required`: made before it, and an image without is refused.",
    )
    signature: Signature | None = Field(default=None, description="Signs and checks images; not done without it.")
    scan: Scan | None = Field(default=None, description="Gate on ECR's scan findings; none without it.")

    @property
    def blocking(self) -> bool:
        """Whether what is made of SBOM and signature has to be there before a deploy."""
        return self.sbom == "required" or (self.signature is not None and self.signature.required)
