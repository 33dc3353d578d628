"""What an estimator reads of a log: column roles, ids, arms, times, histories."""
