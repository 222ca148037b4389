"""The embedded agent `repair`: no model, no key, no network; it mends a Python repository whose tests fail.

Theory: a failing test runs lines that passing tests run less often. Those lines are suspects (spectrum-based fault
localisation, Ochiai). Small text edits at the suspects are tried, most likely first, in forks of a process that has
already collected the tests; an edit that survives there must pass the whole suite in a fresh interpreter. Everything
runs in copies of the repository; the repository itself changes only by the edit that is kept. Whatever the agent
cannot do it declines in one sentence.

The package runs inside a sandbox under another name, so it imports only itself (relatively), the standard library,
coverage and pytest.
"""
