"""Backtest: what another policy or level would have made of the runs in a log, from the evidence that stands there.

Theory: the past cannot be run again, but it can be judged again. A run is walked through attempt by attempt. Each is
judged by the other policy and disposed by the other level, with the functions that judge live runs, as long as that
leads the way that the run really went. Where it leads elsewhere first, what came afterwards in the log belongs to
another story, and only what does not depend on work that nobody did is told of it. What was not measured is unknown:
it counts as every answer that it could have been, and only if all lead the same way is there one.
"""
