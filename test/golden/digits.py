"""Writes scikit-learn's digits as src/experiments/digits.json: one string per picture, one base-17 digit per pixel.

    python digits.py        with the scikit-learn of requirements.txt
"""

import json
from pathlib import Path

from sklearn.datasets import load_digits

DIGITS = "0123456789abcdefg"


def digits():
    data = load_digits()
    return {
        "labels": "".join(str(label) for label in data.target),
        "images": ["".join(DIGITS[int(value)] for value in image) for image in data.data],
    }


if __name__ == "__main__":
    path = Path(__file__).parents[2] / "src/experiments/digits.json"
    path.write_text(json.dumps(digits(), indent=2) + "\n")
