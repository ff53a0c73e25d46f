"""Pages from the network: fetched without reaching inward, turned into text under limits, quoted
word for word."""
