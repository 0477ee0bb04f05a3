"""What is seen within a day at a model's traffic, kind by kind of alarm."""
