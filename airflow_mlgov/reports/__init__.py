"""Reports for auditors: what the ledger says of a model, ordered by the controls of a framework. Says which evidence is
there, how old it is and where it stands; never that a control is met."""
