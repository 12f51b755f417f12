"""Why nothing of a publish is published: what came is not what its asset promises, or not of the days that it builds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakeline.errors import AuditError, LakeError, names

if TYPE_CHECKING:
    from lakeline.contract.audit import Violation
    from lakeline.window import Window


class AuditFailedError(AuditError):
    """Rows break a rule whose action is ``fail``; nothing of the run was published."""

    def __init__(self, asset: str, violations: "Sequence[Violation]") -> None:
        self.violations = tuple(violations)
        broken = "; ".join(
            f"{one.rule} broken by {one.count} row(s), for example {names(one.sample, limit=2)}"
            for one in violations
        )
        super().__init__(
            f"'{asset}' breaks its contract: {broken}. Nothing was published and the table is as it was. "
            "Mend the source, or let the rule reject, blank or warn (on_fail=) in the contract."
        )


class EmptyPartitionError(AuditError):
    """A day without rows came where the asset promises some."""

    def __init__(self, asset: str, partitions: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' got no rows for {names(partitions)}. Nothing was published and the table is as it was. "
            "Check the source; if a day may be empty, say so with empty='warn' or empty='allow' on the asset."
        )


class OutsideWindowError(LakeError):
    """A function returned rows of days that its run does not build."""

    def __init__(self, asset: str, partitions: Sequence[str], window: "Window") -> None:
        super().__init__(
            f"'{asset}' returned rows of {names(partitions)}, outside its window "
            f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC. Nothing was published. "
            "Filter the rows by window.start and window.end."
        )


class SplitPartitionError(LakeError):
    """The rows of one partition came in two frames, and the second would replace the first."""

    def __init__(self, asset: str, partitions: Sequence[str]) -> None:
        super().__init__(
            f"'{asset}' gave the rows of {names(partitions)} in more than one frame. Nothing was published. "
            "Yield all rows of a day in one frame."
        )


class WindowMissingError(LakeError):
    """A daily table was published without saying which days."""

    def __init__(self, asset: str) -> None:
        super().__init__(
            f"'{asset}' is parted by day. Pass the window whose days the rows are, as Window.of_days(…)."
        )


class NoDaysError(LakeError):
    """A daily table was published for a window that has no days."""

    def __init__(self, asset: str, window: "Window") -> None:
        super().__init__(
            f"'{asset}' is parted by day, and its window {window.start:%Y-%m-%d %H:%M} to "
            f"{window.end:%Y-%m-%d %H:%M} UTC names no day. Nothing was published. "
            "Pass Window.of_days(first, last), with the first day not after the last."
        )
