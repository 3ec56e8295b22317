"""docs/operations.md tells of every setting, and of no other."""

from __future__ import annotations

import re

from settings import Settings
from tests.production.compose import CHECKOUT
from tests.production.test_configuration import setting_names

ROW = re.compile(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`)?", re.MULTILINE)


def told() -> dict[str, str]:
    return dict(ROW.findall((CHECKOUT / "docs/operations.md").read_text()))


def test_every_setting_is_in_the_table() -> None:
    assert set(told()) == setting_names()


def test_a_default_in_the_table_is_the_settings_default() -> None:
    prefix = Settings.model_config["env_prefix"]
    for name, field in Settings.model_fields.items():
        said = told()[str(field.validation_alias or f"{prefix}{name}".upper())]
        if said:
            assert said == (str(field.default).lower() if field.annotation is bool else str(field.default)), name
