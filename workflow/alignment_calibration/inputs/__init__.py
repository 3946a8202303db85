"""What a study starts from: checkpoints, questions, and what scoring them will cost."""
