"""Training: `train.train(config, run_dir)`, its config, its run folder, its devices."""
