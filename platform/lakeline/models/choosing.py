"""How a policy chooses by scores: the probability that it gives each action.

Shapes: N contexts, A actions.
"""

from typing import TYPE_CHECKING

from lakeline.errors import EvaluationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def greedy(scores_NA: "Floats") -> "Floats":
    """Probabilities of always taking the best action; equally good ones share, shape ``(N, A)``. -inf is no candidate.

    >>> import numpy as np
    >>> greedy(np.array([[1.0, 3.0, 3.0]])).tolist()
    [[0.0, 0.5, 0.5]]
    """
    best_NA = (scores_NA == scores_NA.max(axis=1, keepdims=True)).astype(float)
    shares: Floats = best_NA / best_NA.sum(axis=1, keepdims=True)
    return shares


def softmax(scores_NA: "Floats", temperature: float = 1.0) -> "Floats":
    """Probabilities that rise with the score, shape ``(N, A)``: near 0 it is greedy, far above uniform. -inf is no candidate.

    Raises:
        EvaluationError: The temperature is not above 0.
    """
    import numpy as np

    if not temperature > 0:
        raise EvaluationError(f"a temperature of {temperature} is not above 0")
    scaled_NA = scores_NA / temperature
    grown_NA = np.exp(scaled_NA - scaled_NA.max(axis=1, keepdims=True))
    shares: Floats = grown_NA / grown_NA.sum(axis=1, keepdims=True)
    return shares
