"""What a model directory is: its record, its weights for evaluation, its best model, its opening."""
