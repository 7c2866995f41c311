"""The evaluation gate: scores by example against bounds. Begin with ``gates.evaluation.spec.EvaluationGate``, then
``gate.py``."""
