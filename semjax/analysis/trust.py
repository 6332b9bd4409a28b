"""Do the numbers that need no truth track the real error? Asked where there is a truth."""

import pandas as pd
from scipy import stats

FEWEST = 4  # images; a rank correlation of fewer says nothing


def track(doubts: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation over images of each number without truth with each score.

    Args:
        doubts: one row an image (its name is the index), a column a number, such as `agreement`.
        scores: the same images against the truth, a column a score.

    Returns:
        Columns `number`, `score`, `images`, `spearman` (in [-1, 1]) and `p_value`; both are NaN
        for fewer than four images and where a column is constant.

    Source: Spearman, Am. J. Psychol. 15, 72 (1904).
    """
    names = [name for name in doubts.index if name in scores.index]
    rows = []
    for number in doubts:
        for score in scores:
            x, y = doubts.loc[names, number], scores.loc[names, score]
            rho = p_value = float("nan")
            if len(names) >= FEWEST and x.nunique() > 1 and y.nunique() > 1:
                rho, p_value = stats.spearmanr(x, y)
            row = {"number": number, "score": score, "images": len(names)}
            rows.append(row | {"spearman": float(rho), "p_value": float(p_value)})
    return pd.DataFrame(rows, columns=["number", "score", "images", "spearman", "p_value"])
