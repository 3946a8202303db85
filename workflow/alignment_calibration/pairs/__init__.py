"""What alignment changed: two and more models on the same questions."""
