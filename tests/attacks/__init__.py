"""Attacks on a governed release, each made on real systems; each ends in a refusal that names its reason."""
