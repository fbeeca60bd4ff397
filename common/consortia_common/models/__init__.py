"""PURE: what a fitted model is and how it answers: its preparation, its prediction, its measures. numpy only."""
