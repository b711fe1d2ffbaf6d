"""The full profile on two CPU cores and no network, with a stand-in for the model, the hub and the videos."""
