"""Importing Feast through lakeline brings neither torch nor checks of types, and leaves typeguard as it was."""

import importlib.util
import subprocess
import sys

import pytest


def told(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_joining_features_does_not_bring_torch() -> None:
    assert (
        told("import sys, lakeline.domain.feast.joining; print('torch' in sys.modules)") == "False"
    )


def test_feast_finds_torch_when_it_needs_it() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: make setup-torch")
    code = (
        "import lakeline.feast; from feast.infra.offline_stores import offline_store; "
        "print(offline_store.get_torch().__name__)"
    )
    assert told(code) == "torch"


def test_typeguard_checks_again_afterwards() -> None:
    code = (
        "import typeguard; before = typeguard.typechecked; import lakeline.feast; "
        "print(typeguard.typechecked is before)"
    )
    assert told(code) == "True"


def test_a_feast_that_is_there_stays_as_it_is() -> None:
    code = """
import feast, feast.torch_wrapper as before, lakeline.feast, sys
print(sys.modules["feast.torch_wrapper"] is before)
try:
    feast.Entity(name=3)
except Exception as error:
    print(type(error).__name__)
"""
    assert told(code).split() == ["True", "TypeCheckError"]
