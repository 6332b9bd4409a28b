"""Names for what passes between the layers."""

from typing import Any, Protocol


class Network(Protocol):
    """A Linen module as a learner sees it: nothing but `init` and `apply`."""

    def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        """Makes variables."""
        ...

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs the network."""
        ...
