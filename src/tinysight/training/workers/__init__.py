"""One training on several processes: the group they are, the step they share, and the engines that start them."""
