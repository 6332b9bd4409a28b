"""Losses and updates: each learner is a pair of pure functions (see `semjax.training.Learner`)."""
