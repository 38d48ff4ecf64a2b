"""A timeline and a task → cases: who is asked what, when, from which context, with which answer."""
