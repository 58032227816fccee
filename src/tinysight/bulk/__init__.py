"""What a classifier says of more pictures than anybody would name one by one, on one machine or on many."""
