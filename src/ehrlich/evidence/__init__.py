"""The thinking graph: what in a patient's history points to the answer, and how sure that is."""
