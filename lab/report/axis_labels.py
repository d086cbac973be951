"""What statistics and annotations are called on axes, with their units."""

LABELS = {
    "entropy": "mean local entropy (bits)",
    "frequency": "important DCT coefficients (%)",
    "segments": "number of segments",
    "edges": "sum of edge strengths",
    "gradient": "mean gradient",
    "instances": "number of objects",
    "box_area": "area of the objects' boxes (of the image)",
    "search_difficulty": "search difficulty (s)",
    "label_entropy": "entropy of people's labels (bits)",
    "c_score": "C-score",
    "label_noise": "people who give another label (fraction)",
}
