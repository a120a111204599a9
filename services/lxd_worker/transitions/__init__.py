"""The state machine of operations: which step comes next, judged by what can be observed. Pure."""
