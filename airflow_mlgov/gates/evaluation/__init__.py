"""The evaluation gate: scores by example against bounds. Begin with :class:`spec.EvaluationGate`, then ``gate.py``."""
