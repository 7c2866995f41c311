"""Loans to try this with: ``python make_data.py`` writes ``train.csv`` and ``test.csv``; ``--broken`` puts errors into
the former, such as a careless export leaves."""

import random
import sys

draw = random.Random(7)


def loans(count: int) -> list[str]:
    """Rows of age, income, share of debt, sex, and whether it was repaid."""
    rows = []
    for _ in range(count):
        age, income, debt = draw.randint(18, 80), draw.lognormvariate(10.4, 0.4), draw.random()
        repaid = draw.random() < 1 / (1 + 2.718 ** (4 * debt - income / 25_000 - 0.5))
        rows.append(f"{age},{income:.2f},{debt:.3f},{draw.choice('fm')},{int(repaid)}")
    return rows


train, test = loans(3_000), loans(1_500)
if "--broken" in sys.argv[1:]:
    train[10] = train[10].replace(train[10].partition(",")[0], "-4", 1)
    train[20] = ",".join(["", *train[20].split(",")[1:]])
    train += train[:50]
for name, rows in (("train.csv", train), ("test.csv", test)):
    with open(name, "w", encoding="utf-8") as file:
        file.write("\n".join(["age,income,debt,sex,repaid", *rows]) + "\n")
