"""Why a classifier said what it said: where it looked, and what it has seen that was alike."""
