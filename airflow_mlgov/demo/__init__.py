"""The whole story on one machine: servers, a credit-risk model, five scenes. Imports nothing heavy."""
