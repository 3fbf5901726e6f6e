"""The colours of every picture: safe for colour-blind eyes, and readable on white and on near-black."""

NEGATIVE = "#2b7fc3"  # blue
ZERO = "#ffffff"
POSITIVE = "#d9660a"  # orange
TRAIN, TEST = NEGATIVE, POSITIVE
SERIES = ("#2b7fc3", "#d9660a", "#0a9371", "#c4608f", "#8a7200", "#5a7fa8", "#7a7a7a")  # Okabe–Ito, adjusted
MUTED = "#7d8894"
