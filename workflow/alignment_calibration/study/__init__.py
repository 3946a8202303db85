"""What a study is: its vocabulary and its config."""
