"""A governed model whose production is another registered model, with the three-level names of Unity Catalog."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from airflow_mlgov.cli.configured import registry_elsewhere
from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
from airflow_mlgov.registry.protocol import ModelVersion
from airflow_mlgov.release.desk import Desk
from tests.worlds.governed import Governed

POLICY = """\
version: 1
people: {{olga: {{}}, tom: {{}}}}
models:
  {model}:
    gates:
      performance: {{label: y, score: s, roc_auc: {{min: 0.75}}}}
    targets:
      production:
        copy_to: {copy_to}
        alias: champion
        requires: [performance]
"""


@dataclass
class Copied(Governed):
    """``dev.credit.m_…`` is judged, and ``prod.credit.m_…`` is served."""

    model: str = field(default_factory=lambda: f"dev.credit.m_{uuid.uuid4().hex[:8]}")
    elsewhere: str = ""
    """Address of another registry for the copies."""

    def __post_init__(self) -> None:
        super().__post_init__()
        to = f"{{model: {self.target}, registry: '{self.elsewhere}'}}" if self.elsewhere else self.target
        self.policy_file.write_text(POLICY.format(model=self.model, copy_to=to))

    @property
    def target(self) -> str:
        """The model that the copies are versions of."""
        return self.model.replace("dev.", "prod.", 1)

    @property
    def there(self) -> MlflowRegistry:
        """Its registry."""
        return MlflowRegistry(self.elsewhere) if self.elsewhere else self.registry

    def desk(self, duty: str, **change: Any) -> Desk:
        return replace(super().desk(duty, **change), elsewhere=partial(registry_elsewhere, duty))

    def copy(self, number: str) -> ModelVersion:
        return self.there.resolve({"name": self.target, "version": number})

    def copies(self) -> dict[str, tuple[str, ...]]:
        """Number of each copy -> its aliases."""
        aliases = self.there.aliases(self.target)
        return {
            item.version: tuple(alias for alias, number in aliases.items() if number == item.version)
            for item in reversed(self.there.versions(self.target))
        }


class Killed(BaseException):
    """The process is gone: nothing that handles errors runs."""


@contextmanager
def killed_after(patch: pytest.MonkeyPatch, owner: Any, name: str, times: int = 1) -> Iterator[None]:
    """The process dies right after a method has had its effect."""
    done, inner = 0, getattr(owner, name)

    def step(*args: Any, **given: Any) -> Any:
        nonlocal done
        result = inner(*args, **given)
        done += 1
        if done == times:
            raise Killed
        return result

    with patch.context() as here:
        here.setattr(owner, name, step)
        with pytest.raises(Killed):
            yield
