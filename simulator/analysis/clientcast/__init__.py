"""What a study of simulated clients and their ratings shows: faithfulness, reliability, validity."""
