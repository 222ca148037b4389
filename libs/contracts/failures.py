"""Why an attempt could not be carried out: infrastructure, never a verdict on somebody's work."""


class WorkFailed(Exception):
    """Answered with `phase.errored`; `code` is stable, the message one sentence.

    `is_retryable` says that another try may well succeed though nobody changes anything: the machine, the
    sandbox or the agent's own provider failed, not what was asked for. `cost_usd` is what was spent all the
    same, `None` when nobody knows.
    """

    def __init__(self, code: str, message: str, *, is_retryable: bool = False, cost_usd: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.is_retryable = is_retryable
        self.cost_usd = cost_usd
