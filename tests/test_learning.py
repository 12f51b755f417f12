"""What a model declares of its learning is checked when it is declared."""

from typing import Any

import pytest

from lakeline.domain import Domain
from lakeline.models.learning import LearningError
from tests.learning import World, mill

USUAL = {"features": ("heat", "noise"), "label": "broke", "at": "event_ts", "known": "known_ts"}


def declare(**changes: Any) -> None:
    domain: Domain = mill(World())

    @domain.model(training_set=domain.assets[0], **(USUAL | changes))
    def again(train: Any, seed: int) -> Any:
        """Only declared."""
        pytest.fail("only declared")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": ("heat", "broke")}, r"has its label 'broke' in features=: it would be told what it is to predict"),
        ({"schedule": ("broke",)}, r"has its label 'broke' in schedule="),
        ({"features": ()}, r"has no features=\. Name the columns"),
        ({"features": ("heat", "heat", "noise")}, r"has heat more than once in features="),
        ({"features": ("heat", "hum")}, r"names hum, which its training set does not have\. It has event_ts, .*heat, noise"),
        ({"label": "breaks"}, r"names breaks, which its training set"),
        ({"known": "seen_ts"}, r"names seen_ts, which its training set"),
        ({"schedule": ("hour",)}, r"names hour, which its training set"),
        ({"categorical": ("machine",)}, r"has machine in categorical= but not in features="),
    ],
)  # fmt: skip
def test_what_no_training_could_follow_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(LearningError, match=rf"Model 'mill/again' {told}"):
        declare(**changes)


def test_a_schedule_may_have_columns_that_are_no_features() -> None:
    declare(features=("heat",), schedule=("noise",))
